"""Which models are loaded where: `modemesh plan`, what it says, and a fleet that follows it."""

import json
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import mesh
from mesh import CODER, FAST, THINKER, Mesh, wait_until

CONTEXT = 2048
MARGIN = 1.2  # of one model's need that a node's limit is: not enough for a second


def need_bytes(cluster, context=CONTEXT):
    """What the largest of the demo models takes with one slot, by `modemesh fit`."""
    done = cluster.cli("fit", mesh.MODELS, "--context", str(context), "--slots", "1", "--json")
    return max(model["contexts"][0]["total_bytes"] for model in json.loads(done.stdout)["models"])


def modes_of(**models):
    """A config's modes, each of which needs CONTEXT."""
    return {name: {"models": list(listed), "context": CONTEXT, "context-floor": CONTEXT}
            for name, listed in models.items()}


def write_config(cluster, modes, **settings):
    cluster.config.write_text(json.dumps({"modes": modes, **settings}))


def reload_config(cluster, modes, **settings):
    write_config(cluster, modes, **settings)
    cluster.coordinator.signal(signal.SIGHUP)


def add_node(cluster, name, *models, room=1):
    """A node that has these models on its disk, none of them loaded, and memory for `room` of them."""
    node = cluster.add_node(name, [], models, slots=1, start=False)
    node.memory_limit = str(int(room * MARGIN * need_bytes(cluster)))
    node.start()
    wait_until(lambda: f"{name} tells its models, now {node.status()}", lambda: all(node.model(m) for m in models))
    return node


def plan(cluster):
    done = cluster.owner("plan", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def actions(cluster):
    return {(model["node"], model["model"]): model["action"] for model in plan(cluster)["models"]}


def served(cluster):
    return {mode["mode"]: (mode["model"], mode["node"]) for mode in plan(cluster)["modes"]}


def resident(cluster):
    return {(node["name"], model["name"]) for node in cluster.status()["nodes"] for model in node["models"]
            if model["state"] == "resident"}


def apply(cluster):
    done = cluster.owner("plan", "--apply")
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done


def two_nodes(cluster):
    """Each has room for one model; only halo2 has the thinker."""
    return add_node(cluster, "halo1", CODER), add_node(cluster, "halo2", CODER, THINKER)


def a_plan_says_what_should_be_where_and_why():
    with Mesh() as cluster:
        reload_config(cluster, modes_of(code=[CODER], architect=[THINKER], night=["nobody-has-it"]))
        two_nodes(cluster)
        wanted = {("halo1", CODER): "load", ("halo2", THINKER): "load"}
        wait_until(lambda: f"both are planned, now {actions(cluster)}", lambda: actions(cluster) == wanted)
        answer = plan(cluster)
        assert answer["exact"] and answer["loads"] == 2 and answer["unloads"] == 0, answer
        night = next(mode for mode in answer["modes"] if mode["mode"] == "night")
        assert not night["served"] and "nobody-has-it" in night["why"], night
        for node in answer["nodes"]:
            assert 0 < node["planned_bytes"] <= node["capacity_bytes"], node
            assert node["planned_bytes"] + node["free_bytes"] == node["capacity_bytes"], node
        text = cluster.owner("plan").stdout
        for word in ("2 models to load", "NODE", "ACTION", "LOSS", "FREE", CODER, THINKER, "for architect"):
            assert word in text, text
        assert not resident(cluster)


def who_may_not_run_the_mesh_gets_no_plan():
    with Mesh() as cluster:
        answer = cluster.get("/mesh/v1/plan")
        assert answer.status == 403, (answer.status, answer.body)
        assert cluster.post("/mesh/v1/plan", '{"apply": true}').status == 403


def a_plan_is_carried_out():
    with Mesh() as cluster:
        reload_config(cluster, modes_of(code=[CODER], architect=[THINKER]))
        two_nodes(cluster)
        wanted = {("halo1", CODER), ("halo2", THINKER)}
        wait_until(lambda: f"both are planned, now {actions(cluster)}", lambda: set(actions(cluster)) == wanted)
        apply(cluster)
        wait_until(lambda: f"both are loaded, now {resident(cluster)}", lambda: resident(cluster) == wanted)
        for mode in ("code", "architect"):
            answer = cluster.ask(mode, "hello", max_tokens=4, temperature=0)
            assert answer.status == 200, (mode, answer.body)
        for node in cluster.status()["nodes"]:
            model = next(model for model in node["models"] if model["state"] == "resident")
            assert (model["context"], model["slots"]) == (CONTEXT, 1), model
        assert set(actions(cluster).values()) == {"keep"}, actions(cluster)
        assert "Nothing is to be done" in cluster.owner("plan").stdout

        # Another mode needs the room: what was there goes, and what comes serves.
        reload_config(cluster, modes_of(code=[CODER], debug=[CODER]))
        wait_until(lambda: f"the modes are new, now {served(cluster)}", lambda: "debug" in served(cluster))
        apply(cluster)
        wanted = {("halo1", CODER), ("halo2", CODER)}
        wait_until(lambda: f"the coder is on both, now {resident(cluster)}", lambda: resident(cluster) == wanted)
        assert {node for _, node in served(cluster).values()} == {"halo1", "halo2"}, served(cluster)
        assert cluster.ask("debug", "hello", max_tokens=4, temperature=0).status == 200


def what_is_pinned_is_left_alone():
    with Mesh() as cluster:
        reload_config(cluster, modes_of(architect=[THINKER], ask=[FAST]))
        halo = cluster.add_node("halo1", [THINKER], [FAST], slots=1, start=False)
        halo.memory_limit = str(int(MARGIN * need_bytes(cluster)))
        halo.start()
        halo.wait_resident(THINKER)
        wait_until(lambda: f"the modes are there, now {served(cluster)}", lambda: "ask" in served(cluster))
        assert actions(cluster)[("halo1", THINKER)] == "keep", plan(cluster)
        assert served(cluster)["ask"] == ("", ""), plan(cluster)
        apply(cluster)
        assert resident(cluster) == {("halo1", THINKER)}


def a_fleet_keeps_to_its_plan():
    """Nobody asks for anything: the models are there all the same, and move when the modes do."""
    with Mesh() as cluster:
        two_nodes(cluster)
        reload_config(cluster, modes_of(code=[CODER], architect=[THINKER]), residency="planned")
        wanted = {("halo1", CODER), ("halo2", THINKER)}
        wait_until(lambda: f"both are loaded, now {resident(cluster)}", lambda: resident(cluster) == wanted)
        wait_until("the log says why", lambda: "planned step" in cluster.coordinator.text())
        assert "reason=" in cluster.coordinator.text()
        reload_config(cluster, modes_of(code=[CODER], debug=[CODER]), residency="planned")
        wanted = {("halo1", CODER), ("halo2", CODER)}
        wait_until(lambda: f"the coder is on both, now {resident(cluster)}", lambda: resident(cluster) == wanted)


if __name__ == "__main__":
    mesh.run(a_plan_says_what_should_be_where_and_why, who_may_not_run_the_mesh_gets_no_plan, a_plan_is_carried_out,
             what_is_pinned_is_left_alone, a_fleet_keeps_to_its_plan)
