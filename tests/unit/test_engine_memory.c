#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/backends/engine_memory.h"

#include <string.h>

#define MIB(n) ((uint64_t)((n)*100 + 0.5) * (UINT64_C(1) << 20) / 100)

/* llama-server b11669 at its highest verbosity, the lines that matter and some around them: it
 * rehearses, then loads. */
static const char *const rehearsed[] = {
        "0.00.038.169 I srv    load_model: loading model 'models/demo-coder.gguf'\n",
        "0.00.038.354 I cmn  common_init_: fitting params to device memory ...\n",
        "0.00.043.724 I print_info: vocab_only            = 0\n",
        "0.00.043.736 I print_info: no_alloc              = 1\n",
        "0.00.046.941 I load_tensors:          CPU model buffer size =     0.00 MiB\n",
        "0.00.047.031 I llama_context: constructing llama_context\n",
        "0.00.047.040 I llama_context: n_outputs_max         = 2\n",
        "0.00.047.040 I llama_context: n_outputs_max_per_seq = 1\n",
        "0.00.047.053 I llama_context:        CPU  output buffer size =     0.01 MiB\n",
        "0.00.047.265 I llama_kv_cache:        CPU KV buffer size =     0.00 MiB\n",
        "0.00.047.270 I llama_kv_cache: size =    4.00 MiB (  2048 cells,   4 layers,  2/2 seqs), "
        "K (f16):    2.00 MiB, V (f16):    2.00 MiB\n",
        "0.00.048.919 I sched_reserve:        CPU compute buffer size =     5.52 MiB\n",
        "0.00.048.981 I common_memory_breakdown_print: | memory breakdown [MiB] | total   free    "
        "self   model   context   compute    unaccounted |\n",
        "0.00.048.981 I common_memory_breakdown_print: |   - Host               |                  "
        " 10 =     0 +       4 +       5                |\n",
        "0.00.049.365 I common_fit_params: fitting params to free memory took 0.01 seconds\n",
        "0.00.054.081 I print_info: no_alloc              = 0\n",
        "0.00.055.844 I load_tensors:   CPU_Mapped model buffer size =     0.95 MiB\n",
        "0.00.056.170 I llama_context: constructing llama_context\n",
        "0.00.056.178 I llama_context: n_outputs_max         = 2\n",
        "0.00.056.178 I llama_context: n_outputs_max_per_seq = 1\n",
        "0.00.056.191 I llama_context:        CPU  output buffer size =     0.01 MiB\n",
        "0.00.056.279 I llama_kv_cache:        CPU KV buffer size =     4.00 MiB\n",
        "0.00.061.368 D graph_reserve: reserving a graph for ubatch with n_tokens =    2, n_seqs = "
        " "
        "2, n_outputs =    2\n",
        "0.00.063.204 I sched_reserve:        CPU compute buffer size =     5.52 MiB\n",
        "0.02.975.774 I common_memory_breakdown_print: |   - Host               |                  "
        " 10 =     0 +       4 +       5                |\n",
        "0.02.975.953 D ~llama_context:        CPU compute buffer size is   5.5176 MiB, matches "
        "expectation of   5.5176 MiB\n",
        NULL};

/* Verbosity 4: of the rehearsal it says only how long it took. */
static const char *const verbosity_4[] = {
        "0.00.046.179 I srv    load_model: loading model 'models/demo-coder.gguf'",
        "0.00.059.070 I common_fit_params: fitting params to free memory took 0.01 seconds",
        "0.00.061.900 I print_info: no_alloc              = 0",
        "0.00.062.596 I load_tensors:   CPU_Mapped model buffer size =     0.95 MiB",
        "0.00.062.901 I llama_context: constructing llama_context",
        "0.00.062.909 I llama_context: n_outputs_max         = 2",
        "0.00.062.920 I llama_context:        CPU  output buffer size =     0.01 MiB",
        "0.00.063.005 I llama_kv_cache:        CPU KV buffer size =     4.00 MiB",
        "0.00.072.526 I sched_reserve:        CPU compute buffer size =     5.52 MiB", NULL};

/* Qwen3.5-9B on Vulkan: recurrent layers, and buffers on both sides. */
static const char *const vulkan[] = {
        "0.01.779.588 I load_tensors:   CPU_Mapped model buffer size =   545.62 MiB",
        "0.01.779.588 I load_tensors:      Vulkan0 model buffer size =  5133.63 MiB",
        "0.03.783.195 I llama_context: n_ctx         = 8192",
        "0.03.783.993 I llama_context: Vulkan_Host  output buffer size =     3.79 MiB",
        "0.03.784.875 I llama_kv_cache:    Vulkan0 KV buffer size =   256.00 MiB",
        "0.03.941.632 I llama_memory_recurrent:    Vulkan0 RS buffer size =   201.00 MiB",
        "0.03.941.640 I llama_memory_recurrent: size =  201.00 MiB (     4 cells,  32 layers,  4 "
        "seqs  0 rs_seq), R (f32):    9.00 MiB, S (f32):  192.00 MiB",
        "0.03.958.334 I sched_reserve:    Vulkan0 compute buffer size =   392.44 MiB",
        "0.03.958.342 I sched_reserve: Vulkan_Host compute buffer size =    72.07 MiB", NULL};

/* Before 2025, without levels. */
static const char *const old[] = {"llm_load_tensors:        CPU buffer size =    63.84 MiB",
        "llm_load_tensors:      CUDA0 buffer size =  4155.99 MiB",
        "llama_kv_cache_init:      CUDA0 KV buffer size =  1024.00 MiB",
        "llama_new_context_with_model: KV self size  = 1024.00 MiB, K (f16):  512.00 MiB, V (f16): "
        " "
        "512.00 MiB",
        "llama_new_context_with_model:  CUDA_Host  output buffer size =     0.49 MiB",
        "llama_new_context_with_model:      CUDA0 compute buffer size =   560.00 MiB",
        "llama_new_context_with_model:  CUDA_Host compute buffer size =    24.01 MiB", NULL};

/* Windows beside full layers, compressed states, colours. */
static const char *const coloured[] = {"\x1b[34m1.14.608.918\x1b[0m \x1b[32mI "
                                       "\x1b[0mllama_context:  CUDA_Host  output buffer size "
                                       "=     0.49 MiB",
        "\x1b[34m1.14.609.487\x1b[0m \x1b[32mI \x1b[0mllama_kv_cache: size =    0.00 MiB ( 64000 "
        "cells,   0 layers,  1/1 seqs), K (bf16):    0.00 MiB, V (bf16):    0.00 MiB",
        "\x1b[34m1.14.610.021\x1b[0m \x1b[32mI \x1b[0mllama_kv_cache:      CUDA0 KV buffer size =  "
        " "
        "182.75 MiB",
        "\x1b[34m1.14.610.021\x1b[0m \x1b[32mI \x1b[0mllama_kv_cache:      CUDA0 KV buffer size =  "
        " "
        " 12.00 MiB",
        "\x1b[34m1.16.674.767\x1b[0m \x1b[32mI \x1b[0mllama_dsv4_comp_state:      CUDA0 DSV4 csa "
        "state buffer size =     1.31 MiB",
        "\x1b[34m1.16.675.996\x1b[0m \x1b[32mI \x1b[0mllama_dsv4_comp_state:      CUDA0 DSV4 hca "
        "state buffer size =    10.00 MiB",
        NULL};

static const char *const projector[] = {"clip_ctx: CLIP using ROCm0 backend",
        "load_hparams: model size:         800.43 MiB",
        "load_hparams: metadata size:      0.11 MiB",
        "alloc_compute_meta: warmup with image size = 1472 x 1472",
        "alloc_compute_meta:      ROCm0 compute buffer size =   322.49 MiB",
        "alloc_compute_meta:      ROCm0 compute buffer size =   248.10 MiB",
        "alloc_compute_meta: graph splits = 1, nodes = 766", NULL};

static struct engine_memory memory;

static void take(const char *line)
{
    engine_memory_take(&memory, line, strlen(line));
}

static void take_all(const char *const *lines)
{
    engine_memory_init(&memory);
    for (; *lines; lines++)
        take(*lines);
}

/* Bytes of `buffer` on the device `name`, UINT64_MAX where there is no such device. */
static uint64_t bytes_on(const char *name, enum engine_buffer buffer)
{
    for (size_t i = 0; i < memory.device_count; i++)
        if (strcmp(memory.devices[i].name, name) == 0)
            return memory.devices[i].bytes[buffer];
    return UINT64_MAX;
}

static void assert_demo_loaded(void)
{
    assert_int_equal(bytes_on("CPU_Mapped", ENGINE_BUFFER_TENSORS), MIB(0.95));
    assert_int_equal(bytes_on("CPU", ENGINE_BUFFER_CACHE), MIB(4));
    assert_int_equal(bytes_on("CPU", ENGINE_BUFFER_OUTPUT), MIB(0.01));
    assert_int_equal(bytes_on("CPU", ENGINE_BUFFER_COMPUTE), MIB(5.52));
    assert_int_equal(engine_memory_total(&memory), MIB(0.95) + MIB(4) + MIB(0.01) + MIB(5.52));
    assert_int_equal(engine_memory_on(&memory, true), engine_memory_total(&memory));
    assert_int_equal(engine_memory_on(&memory, false), 0);
    assert_int_equal(memory.output_rows, 2);
}

static void test_nothing(void **state)
{
    (void)state;
    engine_memory_init(&memory);
    assert_int_equal(engine_memory_total(&memory), 0);
    assert_int_equal(memory.device_count, 0);
    assert_int_equal(memory.output_rows, 0);
}

static void test_rehearsal_does_not_count(void **state)
{
    (void)state;
    take_all(rehearsed);
    assert_demo_loaded();
}

static void test_verbosity_4(void **state)
{
    (void)state;
    take_all(verbosity_4);
    assert_demo_loaded();
}

/* An engine that rehearses and does not say so. */
static void test_silent_rehearsal(void **state)
{
    (void)state;
    engine_memory_init(&memory);
    for (size_t i = 0; rehearsed[i]; i++)
        if (!strstr(rehearsed[i], "no_alloc"))
            take(rehearsed[i]);
    assert_demo_loaded();
}

/* A draft model is rehearsed after the model itself was loaded, which stays counted. */
static void test_later_rehearsal(void **state)
{
    uint64_t before;

    (void)state;
    take_all(verbosity_4);
    before = engine_memory_total(&memory);
    take("0.01.043.736 I print_info: no_alloc              = 1");
    take("0.01.046.941 I load_tensors:        CUDA0 model buffer size =   700.00 MiB");
    take("0.01.048.919 I sched_reserve:        CUDA0 compute buffer size =   300.00 MiB");
    take("0.01.049.365 I common_fit_params: fitting params to free memory took 0.01 seconds");
    assert_int_equal(engine_memory_total(&memory), before);
    take("0.01.054.081 I print_info: no_alloc              = 0");
    take("0.01.055.844 I load_tensors:        CUDA0 model buffer size =   700.00 MiB");
    assert_int_equal(engine_memory_total(&memory), before + MIB(700));
}

/* After an idle time it may let its model go and load it again when a request comes. */
static void test_loaded_again(void **state)
{
    (void)state;
    take_all(vulkan);
    for (size_t i = 0; rehearsed[i]; i++)
        take(rehearsed[i]);
    assert_demo_loaded();
}

static void test_vulkan(void **state)
{
    (void)state;
    take_all(vulkan);
    assert_int_equal(bytes_on("Vulkan0", ENGINE_BUFFER_TENSORS), MIB(5133.63));
    assert_int_equal(bytes_on("Vulkan0", ENGINE_BUFFER_STATE), MIB(201));
    assert_int_equal(engine_memory_of(&memory, ENGINE_BUFFER_COMPUTE), MIB(392.44) + MIB(72.07));
    assert_int_equal(
            engine_memory_on(&memory, false), MIB(5133.63) + MIB(256) + MIB(201) + MIB(392.44));
    assert_int_equal(engine_memory_on(&memory, true), MIB(545.62) + MIB(3.79) + MIB(72.07));
    assert_int_equal(memory.output_rows, 0);
}

static void test_old(void **state)
{
    (void)state;
    take_all(old);
    assert_int_equal(bytes_on("CUDA0", ENGINE_BUFFER_TENSORS), MIB(4155.99));
    assert_int_equal(bytes_on("CPU", ENGINE_BUFFER_TENSORS), MIB(63.84));
    assert_int_equal(engine_memory_on(&memory, false), MIB(4155.99) + MIB(1024) + MIB(560));
}

static void test_coloured(void **state)
{
    (void)state;
    take_all(coloured);
    assert_int_equal(memory.device_count, 2);
    assert_int_equal(bytes_on("CUDA0", ENGINE_BUFFER_CACHE), MIB(182.75) + MIB(12));
    assert_int_equal(bytes_on("CUDA0", ENGINE_BUFFER_STATE), MIB(1.31) + MIB(10));
    assert_int_equal(bytes_on("CUDA_Host", ENGINE_BUFFER_OUTPUT), MIB(0.49));
}

static void test_projector(void **state)
{
    (void)state;
    take_all(projector);
    assert_int_equal(bytes_on("ROCm0", ENGINE_BUFFER_PROJECTOR), MIB(800.43));
    assert_int_equal(bytes_on("ROCm0", ENGINE_BUFFER_PROJECTOR_COMPUTE), MIB(248.10));
    assert_int_equal(bytes_on("ROCm0", ENGINE_BUFFER_COMPUTE), 0);
}

/* Where it does not say which device: the host. */
static void test_projector_of_old(void **state)
{
    (void)state;
    engine_memory_init(&memory);
    take("load_hparams: model size:         800.43 MiB");
    assert_int_equal(bytes_on("CPU", ENGINE_BUFFER_PROJECTOR), MIB(800.43));
}

/* A context that reserves again gives back what it had; a second context (a draft model's) adds. */
static void test_reserved_again(void **state)
{
    (void)state;
    take_all(verbosity_4);
    take("0.01.072.526 I sched_reserve:        CPU compute buffer size =     9.00 MiB");
    assert_int_equal(bytes_on("CPU", ENGINE_BUFFER_COMPUTE), MIB(9));
    take("0.01.080.000 I llama_context: constructing llama_context");
    take("0.01.082.526 I sched_reserve:        CPU compute buffer size =     3.00 MiB");
    take("0.01.092.526 I sched_reserve:        CPU compute buffer size =     2.00 MiB");
    assert_int_equal(bytes_on("CPU", ENGINE_BUFFER_COMPUTE), MIB(11));
}

static void test_names_of_devices(void **state)
{
    static const struct {
        const char *name;
        bool host;
    } devices[] = {{"CPU", true}, {"CPU_Mapped", true}, {"CPU_REPACK", true}, {"AMX", true},
            {"CUDA_Host", true}, {"ROCm_Host", true}, {"Vulkan_Host", true}, {"SYCL_Host", true},
            {"CUDA0", false}, {"ROCm1", false}, {"Vulkan0", false}, {"SYCL0", false},
            {"MTL0_Mapped", false}, {"Meta()", false}, {"RPC0[192.168.0.2:50052]", false}};
    const size_t count = sizeof devices / sizeof devices[0];

    (void)state;
    engine_memory_init(&memory);
    for (size_t i = 0; i < count; i++) {
        char line[128] = "load_tensors: ";
        strcat(strcat(line, devices[i].name), " model buffer size =     1.00 MiB");
        take(line);
    }
    assert_int_equal(memory.device_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(memory.devices[i].name, devices[i].name);
        assert_int_equal(memory.devices[i].host, devices[i].host);
        assert_int_equal(memory.devices[i].bytes[ENGINE_BUFFER_TENSORS], MIB(1));
    }
}

static void test_more_devices_than_kept(void **state)
{
    (void)state;
    engine_memory_init(&memory);
    for (unsigned i = 0; i < ENGINE_DEVICES_MAX + 10; i++) {
        char line[] = "load_tensors: XX model buffer size = 1.00 MiB";
        line[14] = (char)('A' + i % 26);
        line[15] = (char)('A' + i / 26);
        take(line);
    }
    assert_int_equal(memory.device_count, ENGINE_DEVICES_MAX);
    assert_int_equal(engine_memory_total(&memory), MIB(ENGINE_DEVICES_MAX + 10));
}

static void test_other_lines(void **state)
{
    static const char *const lines[] = {"", "\n", " buffer size = ", " buffer size = 1.00 MiB",
            "CUDA0 model buffer size = 1.00 MiB extra", /* taken: see below */
            "load_tensors: CUDA0 model buffer size = 1.0 MiB",
            "load_tensors: CUDA0 model buffer size = 1 MiB",
            "load_tensors: CUDA0 model buffer size = -1.00 MiB",
            "load_tensors: CUDA0 model buffer size = nan MiB",
            "load_tensors: CUDA0 model buffer size = 1.00 GiB",
            "load_tensors: CUDA0 model buffer size = 9999999999.00 MiB",
            "load_tensors: CUDA0 model buffer size =",
            "something: CUDA0 buffer size =     1.00 MiB",
            "something: CUDA0 strange buffer size =     1.00 MiB", "CLIP using ",
            "load_hparams: model size: many", "print_info: no_alloc",
            "print_info: no_alloc = ", "llama_context: n_outputs_max = x"};

    (void)state;
    engine_memory_init(&memory);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        take(lines[i]);
    assert_int_equal(engine_memory_total(&memory), MIB(1));
    assert_int_equal(bytes_on("CUDA0", ENGINE_BUFFER_TENSORS), MIB(1));
}

static void test_ends_of_lines(void **state)
{
    static const char line[] = "load_tensors: CUDA0 model buffer size =     1.00 MiB";

    (void)state;
    for (size_t len = 0; len < sizeof line; len++) {
        engine_memory_init(&memory);
        engine_memory_take(&memory, line, len);
        assert_int_equal(engine_memory_total(&memory), len < sizeof line - 1 ? 0 : MIB(1));
    }
}

static void test_long_lines(void **state)
{
    char line[4096];

    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line + 1000, "load_tensors: CUDA0 model buffer size = 1.00 MiB", 48);
    engine_memory_init(&memory);
    engine_memory_take(&memory, line, sizeof line);
    assert_int_equal(engine_memory_total(&memory), 0);
    memcpy(line, "load_tensors: C", 15);
    memcpy(line + 100, " model buffer size = 1.00 MiB", 29);
    engine_memory_take(&memory, line, sizeof line);
    assert_int_equal(engine_memory_total(&memory), MIB(1));
    assert_int_equal(strlen(memory.devices[0].name), ENGINE_DEVICE_NAME_MAX - 1);
}

static void test_names_of_buffers(void **state)
{
    (void)state;
    for (unsigned buffer = 0; buffer < ENGINE_BUFFER_COUNT; buffer++)
        assert_true(strlen(engine_buffer_name((enum engine_buffer)buffer)) > 0);
    assert_string_equal(engine_buffer_name(ENGINE_BUFFER_CACHE), "cache");
}

static void take_text(struct engine_memory *seen, const char *line)
{
    engine_memory_take(seen, line, strlen(line));
}

static void test_room_for_earlier_prompts(void **state)
{
    struct engine_memory seen;

    (void)state;
    engine_memory_init(&seen);
    take_text(&seen, "0.00.042 I srv    load_model: initializing, n_slots = 2, n_ctx_slot = 2048, "
                     "kv_unified = 'false'");
    take_text(&seen, "0.00.042 I srv    load_model: prompt cache is enabled, size limit: 16 MiB");
    assert_true(seen.prompt_cache_bytes == 16 << 20);
    assert_false(seen.unified);
    assert_true(engine_memory_total(&seen) == 0);
    engine_memory_init(&seen);
    take_text(&seen,
            "srv load_model: initializing, n_slots = 4, n_ctx_slot = 8192, kv_unified = 'true'");
    take_text(&seen, "srv load_model: prompt cache is enabled, size limit: no limit");
    assert_true(seen.prompt_cache_bytes == 0);
    assert_true(seen.unified);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_nothing),
            cmocka_unit_test(test_rehearsal_does_not_count),
            cmocka_unit_test(test_verbosity_4),
            cmocka_unit_test(test_silent_rehearsal),
            cmocka_unit_test(test_later_rehearsal),
            cmocka_unit_test(test_loaded_again),
            cmocka_unit_test(test_vulkan),
            cmocka_unit_test(test_old),
            cmocka_unit_test(test_coloured),
            cmocka_unit_test(test_projector),
            cmocka_unit_test(test_projector_of_old),
            cmocka_unit_test(test_reserved_again),
            cmocka_unit_test(test_names_of_devices),
            cmocka_unit_test(test_more_devices_than_kept),
            cmocka_unit_test(test_other_lines),
            cmocka_unit_test(test_ends_of_lines),
            cmocka_unit_test(test_long_lines),
            cmocka_unit_test(test_names_of_buffers),
            cmocka_unit_test(test_room_for_earlier_prompts),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("engine_memory", tests, NULL, NULL);
}
