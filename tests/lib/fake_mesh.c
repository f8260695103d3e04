#include "tests/lib/fake_mesh.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_change(void *ctx)
{
    struct fake_mesh *mesh = ctx;
    mesh->changes++;
}

static void on_cut(void *ctx, const struct link_peer *peer)
{
    struct fake_mesh *mesh = ctx;
    mesh->cuts++;
    mesh->last_cut = *peer;
}

static void on_instance(void *ctx, struct instance *instance, enum instance_event event)
{
    struct fake_mesh *mesh = ctx;
    router_on_instance(mesh->router, instance, event);
}

static void must(int r)
{
    if (r)
        abort();
}

static void add_member(struct fake_mesh *mesh, size_t number)
{
    struct member member = {.roles = CERTIFICATE_ROLE_NODE | CERTIFICATE_ROLE_EDGE,
            .serial = members_next_serial(mesh->members),
            .not_after_s = (uint64_t)(env_wall_ms(&mesh->env.env) / 1000) + mesh->membership_s,
            .source = "approved"};
    strcpy(member.key, fake_link_peer(number).key);
    (void)snprintf(member.name, sizeof(member.name), "node%zu", number);
    must(members_put(mesh->members, &member, NULL));
}

static void open_door(struct fake_mesh *mesh, size_t members)
{
    must(identity_generate(&mesh->identity, NULL));
    must(keys_generate(&mesh->keys, NULL));
    must(members_open(scratch_path(&mesh->scratch, "members.json"), &mesh->members, NULL));
    must(tokens_open(scratch_path(&mesh->scratch, "tokens.json"), &mesh->tokens, NULL));
    for (size_t i = 0; i < members; i++)
        add_member(mesh, i);
    mesh->door = door_create(&(struct door_config){.env = &mesh->env.env,
            .identity = &mesh->identity,
            .coordinator_key = mesh->keys.public_z85,
            .members = mesh->members,
            .tokens = mesh->tokens,
            .membership_s = mesh->membership_s});
    if (!mesh->door)
        abort();
}

void fake_mesh_init(struct fake_mesh *mesh, size_t members)
{
    fake_mesh_init_for(mesh, members, FAKE_MESH_MEMBERSHIP_S);
}

void fake_mesh_init_for(struct fake_mesh *mesh, size_t members, uint64_t membership_s)
{
    log_init("test", LOG_LEVEL_ERROR);
    *mesh = (struct fake_mesh){.membership_s = membership_s};
    virtual_env_init(&mesh->env);
    fake_link_init(&mesh->link);
    scratch_init(&mesh->scratch);
    open_door(mesh, members);
    mesh->away = away_create(&mesh->env.env);
    mesh->router = router_create(&(struct router_config){
            .env = &mesh->env.env, .away = mesh->away, .prefix_bytes = FAKE_MESH_PREFIX_BYTES});
    mesh->nodes = node_table_create(&(struct node_table_config){.env = &mesh->env.env,
            .transport = mesh->link.transport,
            .cut = on_cut,
            .door = mesh->door,
            .away = mesh->away,
            .coordinator_name = "mesh",
            .coordinator_keys = {mesh->keys.public_z85},
            .on_change = on_change,
            .on_instance = on_instance,
            .ctx = mesh});
    if (!mesh->nodes || !mesh->router || !mesh->away)
        abort();
}

void fake_mesh_fini(struct fake_mesh *mesh)
{
    node_table_destroy(mesh->nodes);
    router_destroy(mesh->router);
    away_destroy(mesh->away);
    door_destroy(mesh->door);
    members_close(mesh->members);
    tokens_close(mesh->tokens);
    keys_fini(&mesh->keys);
    identity_fini(&mesh->identity);
    scratch_fini(&mesh->scratch);
    fake_link_fini(&mesh->link);
}

void fake_mesh_say_as(struct fake_mesh *mesh, const struct link_peer *peer, const struct msg *msg)
{
    const struct buf *frame = fake_link_frame(&mesh->link, msg);
    node_table_on_frame(mesh->nodes, peer, buf_at(frame), frame->len);
}

void fake_mesh_say(struct fake_mesh *mesh, size_t node, const struct msg *msg)
{
    struct link_peer peer = fake_link_peer(node);
    fake_mesh_say_as(mesh, &peer, msg);
}

void fake_mesh_hello(struct fake_mesh *mesh, size_t node, const char *software)
{
    fake_mesh_say(mesh, node,
            &(struct msg){.type = MSG_HELLO,
                    .hello = {.name = "n",
                            .software = software,
                            .version_min = 1,
                            .version_max = 1}});
}
