#include "tests/lib/fake_mesh.h"

#include "common/log.h"

#include <stdlib.h>

static void on_change(void *ctx)
{
    struct fake_mesh *mesh = ctx;
    mesh->changes++;
}

void fake_mesh_init(struct fake_mesh *mesh, size_t trusted)
{
    log_init("test", LOG_LEVEL_ERROR);
    virtual_env_init(&mesh->env);
    fake_link_init(&mesh->link);
    scratch_init(&mesh->scratch);
    mesh->trust = fake_link_trust(&mesh->scratch, trusted);
    mesh->changes = 0;
    mesh->nodes = node_table_create(&(struct node_table_config){.env = &mesh->env.env,
            .transport = mesh->link.transport,
            .trust = mesh->trust,
            .coordinator_name = "mesh",
            .on_change = on_change,
            .ctx = mesh});
    if (!mesh->nodes)
        abort();
}

void fake_mesh_fini(struct fake_mesh *mesh)
{
    node_table_destroy(mesh->nodes);
    trust_destroy(mesh->trust);
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
