"""What can be read on the wire between two hosts: that CURVE is spoken, and nothing else."""

import base64
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import hosts
import mesh
import pcap
from fleet import BIN, Fleet
from mesh import DEADLINE_S, wait_until

LINK_PORT, PLAINTEXT_PORT = 8421, 8430
PLAINTEXT = ("--http", "127.0.0.1:8420", "--http", f"0.0.0.0:{PLAINTEXT_PORT}", "--http-plaintext",
             "--http-without-key")
PROMPT = "what is modemesh? tell it to the quarterdeck, the xylophone and the harpsichord"
TOKENS = 1000
LONG_ANSWER = {"ignore_eos": True, "max_tokens": TOKENS}
# ZMTP 3.1, "Greeting": a signature, the version, the mechanism, and what else makes 64 bytes.
SIGNATURE, VERSION, MECHANISM = re.compile(rb"\xff.{8}\x7f", re.DOTALL), b"\x03", b"CURVE".ljust(20, b"\0")
SIGNATURE_LEN, MECHANISM_AT, GREETING_LEN = 10, 12, 64
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
COORDINATOR, NODE = "/var/lib/modemesh-coordinator", "/var/lib/modemesh-node"


# --- what is looked for


def z85_decode(text):
    fives = (text[at:at + 5] for at in range(0, len(text), 5))
    numbers = (sum(Z85.index(letter) * 85 ** (4 - place) for place, letter in enumerate(five)) for five in fives)
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def base64url_decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def as_base64(data):
    """How `data` looks in the base64 of a longer text: three ways to fall into groups of three bytes, two alphabets;
    without the letters at both ends, which also depend on what stands around it."""
    found = set()
    for before, shared in ((0, 0), (1, 2), (2, 3)):
        whole = (before + len(data)) * 8 // 6
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            found.add(encode(bytes(before) + data)[shared:whole])
    return found


def forms_of(data):
    return {data} | as_base64(data)


def words_in(text):
    return {word.encode() for word in re.findall(r"[A-Za-z]{5,}", text)}


def read(host, path):
    return host.run(["cat", path]).stdout.strip()


def link_key(host, state):
    text = read(host, f"{state}/link.key")
    return {text.encode(), z85_decode(text)}


def secret_of_token(token):
    raw = base64url_decode(token.removeprefix("mmj_"))
    return raw[1 + 8 + 32 + 32:][:32]


def secret_keys(fleet, token):
    """Whatever must never be on a wire, as text and as bytes."""
    identity = read(fleet.hub, f"{COORDINATOR}/mesh.key")
    keys = link_key(fleet.hub, COORDINATOR) | {identity.encode(), base64url_decode(identity)}
    for name in fleet.names[1:]:
        keys |= link_key(fleet.hosts[name], NODE)
    for line in (token, read(fleet.hub, f"{COORDINATOR}/local.token")):
        keys |= {line.encode(), secret_of_token(line)}
    return keys


def public_keys(fleet):
    texts = [fleet.hub.run([BIN / "modemesh-coordinator", "--print-key"]).stdout.strip(),
             *(entry["key"] for entry in fleet.nodes()["nodes"])]
    return {form for text in texts for form in (text.encode(), z85_decode(text))}


# --- where


class Wire:
    """A capture that has ended."""

    def __init__(self, file):
        found = pcap.streams(file)
        self.link = [stream for stream in found if stream.port() == LINK_PORT]
        self.plaintext = [stream.data() for stream in found if stream.port() == PLAINTEXT_PORT]
        self.everything = [*(packet.frame for packet in pcap.packets(file)), *(stream.data() for stream in found)]
        # Announcements name the mesh, its nodes, their models and the public keys, for everybody.
        self.unannounced = [packet.frame for packet in pcap.packets(file) if not packet.is_mdns()]

    def link_data(self):
        return [stream.data() for stream in self.link]


def found_in(places, searched):
    """Which of these byte strings is there, in any form."""
    return {data for data in searched if any(form in place for form in forms_of(data) for place in places)}


def is_curve(data):
    """False where the greeting was not ended, as by who only tries whether somebody listens."""
    greeting = data[:GREETING_LEN]
    assert SIGNATURE.match(greeting), greeting
    if len(greeting) < GREETING_LEN:
        assert len(greeting) == SIGNATURE_LEN, greeting
        return False
    assert greeting[SIGNATURE_LEN:][:1] == VERSION and greeting[MECHANISM_AT:].startswith(MECHANISM), greeting
    return True


def assert_all_is_curve(wire):
    whole = [stream for stream in wire.link if stream.data() and is_curve(stream.data())]
    sides = {(stream.source[1] == LINK_PORT, stream.source[0], stream.target[0]) for stream in whole}
    assert len(sides) == 4, f"greetings of the coordinator to two nodes, and theirs: {sides}"


def assert_unreadable(wire, words, secrets, public):
    assert found_in(wire.everything, secrets) == set(), "a secret key"
    assert found_in(wire.link_data(), public) == set(), "a public link key, on the link"
    assert found_in(wire.link_data(), words) == set(), "what was said, on the link"


# --- the tests


def read_stream(body):
    """The text, the pieces that it came in, and how many tokens were counted."""
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    assert "data: [DONE]" in body.splitlines(), body[-400:]
    pieces = [choice["delta"].get("content") for event in events for choice in event.get("choices", [])]
    pieces = [piece for piece in pieces if piece]
    usage = next(event["usage"] for event in events if event.get("usage"))
    return "".join(pieces), len(pieces), usage["completion_tokens"]


def ask_streamed(fleet, host):
    """Through the node on the asker's own host, so that the editor's connection is carried by the link too."""
    status, body = fleet.ask(PROMPT, host, stream=True, stream_options={"include_usage": True}, **LONG_ANSWER)
    assert status == 200, body
    text, pieces, tokens = read_stream(body)
    print(f"# {tokens} tokens in {pieces} pieces", flush=True)
    assert tokens >= TOKENS and pieces > TOKENS / 4
    return text


def ask_in_plaintext(fleet, host):
    """With the prompt in a header as well, in base64."""
    notes = [base64.b64encode(bytes(before) + PROMPT.encode()).decode() for before in range(3)]
    words = [word for note in notes for word in ("-H", f"X-Note: {note}")]
    status, body = fleet.ask(PROMPT, host, f"http://{fleet.hub.address}:{PLAINTEXT_PORT}", words, **LONG_ANSWER)
    assert status == 200, body
    return json.loads(body)["choices"][0]["message"]["content"]


def start_all(fleet):
    """One node that is approved, one that has a token. Returns the token."""
    fleet.start_coordinator(*PLAINTEXT)
    fleet.join(fleet.start_node("alpha"))
    token = fleet.owner("token", "create", "--uses", "1").stdout.strip()
    fleet.wait_serving(fleet.start_node("beta", env={"MODEMESH_JOIN": token}))
    return token


def what_is_streamed_between_hosts_cannot_be_read():
    with Fleet("hub", "alpha", "beta") as fleet:
        capture = fleet.bed.capture(fleet.bed.folder / "curve.pcap")
        token = start_all(fleet)
        answer = ask_streamed(fleet, fleet.hosts["beta"])
        wire = Wire(capture.stop())
        capture = fleet.bed.capture(fleet.bed.folder / "plaintext.pcap")
        plain_answer = ask_in_plaintext(fleet, fleet.hosts["alpha"])
        control = Wire(capture.stop())

        secrets, public = secret_keys(fleet, token), public_keys(fleet)
        words = words_in(PROMPT) | words_in(answer) | words_in(plain_answer)
        assert_all_is_curve(wire)
        assert_unreadable(wire, words, secrets, public)
        assert found_in(wire.unannounced, words) == set()

        # The same search finds what can be read, so that finding nothing means something.
        assert found_in(control.plaintext, words_in(PROMPT) | words_in(plain_answer)) == words_in(
            PROMPT) | words_in(plain_answer)
        notes = set().union(*(as_base64(word) for word in words_in(PROMPT)))
        print(f"# {len(words)} words, {len(secrets)} secrets, {sum(map(len, wire.link_data()))} bytes of the link")
        assert notes and all(any(note in data for data in control.plaintext) for note in notes)
        assert found_in(control.everything, public), "keys are announced, and so they can be found"


def a_peer_without_curve_is_refused():
    with Fleet("hub", "alpha", "beta") as fleet:
        fleet.start_coordinator()
        fleet.join(fleet.start_node("alpha"))
        link = f"tcp://{fleet.hub.address}:{LINK_PORT}"

        def is_counted():
            """Where it finds out first that the other end wants CURVE, it hangs up by itself."""
            said = fleet.hosts["beta"].run([BIN / "hostile-node", "plain", link]).stdout
            assert said == "failed\n", said
            return fleet.nodes()["refused"]["bad_handshake"] > 0

        wait_until("a peer without CURVE is counted", is_counted)
        assert fleet.coordinator.text().count("kind=bad_handshake") == 1
        assert [node["name"] for node in fleet.status()["nodes"]] == ["alpha"]
        assert fleet.ask()[0] == 200


if __name__ == "__main__":
    hosts.skip_if_missing()
    mesh.run(
        what_is_streamed_between_hosts_cannot_be_read,
        a_peer_without_curve_is_refused,
    )
