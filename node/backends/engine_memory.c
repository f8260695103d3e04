#include "node/backends/engine_memory.h"

#include "common/saturating.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

enum { WHOLE_DIGITS_MAX = 9 }; /* of a number of MiB: under a petabyte */

static const char *const buffer_names[ENGINE_BUFFER_COUNT] = {[ENGINE_BUFFER_TENSORS] = "tensors",
        [ENGINE_BUFFER_CACHE] = "cache",
        [ENGINE_BUFFER_STATE] = "state",
        [ENGINE_BUFFER_OUTPUT] = "output",
        [ENGINE_BUFFER_COMPUTE] = "compute",
        [ENGINE_BUFFER_PROJECTOR] = "projector",
        [ENGINE_BUFFER_PROJECTOR_COMPUTE] = "projector compute"};

struct kind {
    const char *word; /* the one before "buffer size" */
    enum engine_buffer buffer;
};

static const struct kind kinds[] = {{"model", ENGINE_BUFFER_TENSORS},
        {"LoRA", ENGINE_BUFFER_TENSORS}, {"KV", ENGINE_BUFFER_CACHE}, {"RS", ENGINE_BUFFER_STATE},
        {"state", ENGINE_BUFFER_STATE}, {"output", ENGINE_BUFFER_OUTPUT},
        {"compute", ENGINE_BUFFER_COMPUTE}};

const char *engine_buffer_name(enum engine_buffer buffer)
{
    assert(buffer < ENGINE_BUFFER_COUNT);
    return buffer_names[buffer];
}

void engine_memory_init(struct engine_memory *memory)
{
    *memory = (struct engine_memory){.projector_device = "CPU"};
}

/* "CPU", "CPU_Mapped", "CPU_REPACK"; "CUDA_Host": pinned; "AMX": the processor's other layouts. */
static bool is_host(const char *name)
{
    size_t len = strlen(name);

    return strncmp(name, "CPU", 3) == 0 || strcmp(name, "AMX") == 0 ||
           (len >= 4 && strcmp(name + len - 4, "Host") == 0);
}

/* Copies the printable part of the word at `word`, up to a blank or `end`. */
static void copy_word(char ret_word[ENGINE_DEVICE_NAME_MAX], const char *word, const char *end)
{
    size_t n = 0;

    for (; word != end && isgraph((unsigned char)*word) && n < ENGINE_DEVICE_NAME_MAX - 1; word++)
        ret_word[n++] = *word;
    ret_word[n] = '\0';
}

static struct engine_device *device_called(struct engine_memory *memory, const char *name)
{
    struct engine_device *device;

    for (size_t i = 0; i < memory->device_count; i++)
        if (strcmp(memory->devices[i].name, name) == 0)
            return &memory->devices[i];
    if (memory->device_count == ENGINE_DEVICES_MAX)
        return &memory->devices[ENGINE_DEVICES_MAX - 1];
    device = &memory->devices[memory->device_count++];
    *device = (struct engine_device){.host = is_host(name)};
    copy_word(device->name, name, name + strlen(name));
    return device;
}

static uint64_t read_digits(const char **at, size_t max)
{
    uint64_t value = 0;

    for (; isdigit((unsigned char)**at) && max > 0; (*at)++, max--)
        value = value * 10 + (uint64_t)(**at - '0');
    return value;
}

/* " =  4168.09 MiB": two decimals, as all of these are printed. */
static bool read_mib(const char *text, uint64_t *ret_bytes)
{
    uint64_t whole, hundredths;

    text += strspn(text, " ");
    if (!isdigit((unsigned char)*text))
        return false;
    whole = read_digits(&text, WHOLE_DIGITS_MAX);
    if (text[0] != '.' || !isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[2]))
        return false;
    text++;
    hundredths = read_digits(&text, 2);
    if (strncmp(text, " MiB", 4) != 0)
        return false;
    *ret_bytes = whole * MIB + hundredths * MIB / 100;
    return true;
}

/* The text behind `label`, or NULL where the line does not have it. */
static const char *behind(const char *line, const char *label)
{
    const char *at = strstr(line, label);

    return at ? at + strlen(label) : NULL;
}

/* "no_alloc              = 1": behind blanks and a "=". */
static bool read_assigned(const char *text, uint64_t *ret_value)
{
    text += strspn(text, " ");
    if (*text != '=')
        return false;
    text += 1 + strspn(text + 1, " ");
    if (!isdigit((unsigned char)*text))
        return false;
    *ret_value = read_digits(&text, WHOLE_DIGITS_MAX);
    return true;
}

/* Where the words begin that are the line's own: behind the last "name: ". */
static const char *words_before(const char *line, const char *end)
{
    const char *words = line;

    for (const char *p = line; p + 1 < end; p++)
        if (p[0] == ':' && p[1] == ' ')
            words = p + 2;
    while (words < end && *words == ' ')
        words++;
    return words;
}

/* The kind that the last word before `end` names. Old engines say nothing where tensors are meant:
 * there is one word then, the device. */
static bool find_kind(
        const char *line, const char *words, const char *end, enum engine_buffer *ret_buffer)
{
    char word[ENGINE_DEVICE_NAME_MAX];
    const char *last = end;

    while (last > words && last[-1] != ' ')
        last--;
    if (last == words) {
        *ret_buffer = ENGINE_BUFFER_TENSORS;
        return strstr(line, "load_tensors:") != NULL;
    }
    copy_word(word, last, end);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(word, kinds[i].word) == 0) {
            *ret_buffer = kinds[i].buffer;
            return true;
        }
    }
    return false;
}

static void add_bytes(struct engine_device *device, enum engine_buffer buffer, uint64_t bytes)
{
    device->bytes[buffer] = saturating_sum(device->bytes[buffer], bytes);
}

/* A context that reserves again gives back what it had: of its sizes the last one counts. */
static void set_compute(struct engine_device *device, uint64_t bytes)
{
    device->bytes[ENGINE_BUFFER_COMPUTE] -= device->context_compute_bytes;
    device->context_compute_bytes = bytes;
    add_bytes(device, ENGINE_BUFFER_COMPUTE, bytes);
}

static void take_buffer(struct engine_memory *memory, const char *line)
{
    const char *end = strstr(line, " buffer size = "), *words;
    char name[ENGINE_DEVICE_NAME_MAX];
    enum engine_buffer buffer;
    uint64_t bytes;

    if (!end || !read_mib(end + strlen(" buffer size = "), &bytes))
        return;
    words = words_before(line, end);
    copy_word(name, words, end);
    if (name[0] == '\0' || !find_kind(line, words, end, &buffer))
        return;
    if (strstr(line, "alloc_compute_meta:"))
        device_called(memory, name)->bytes[ENGINE_BUFFER_PROJECTOR_COMPUTE] = bytes;
    else if (buffer == ENGINE_BUFFER_COMPUTE)
        set_compute(device_called(memory, name), bytes);
    else
        add_bytes(device_called(memory, name), buffer, bytes);
}

static void take_projector(struct engine_memory *memory, const char *line)
{
    const char *text = behind(line, "CLIP using ");
    uint64_t bytes;

    if (text)
        copy_word(memory->projector_device, text, text + strlen(text));
    text = behind(line, "load_hparams: model size:");
    if (text && memory->projector_device[0] != '\0' && read_mib(text, &bytes))
        add_bytes(device_called(memory, memory->projector_device), ENGINE_BUFFER_PROJECTOR, bytes);
}

static void begin_context(struct engine_memory *memory)
{
    for (size_t i = 0; i < memory->device_count; i++)
        memory->devices[i].context_compute_bytes = 0;
}

/* What a line says of all that follows, or of all that came before. */
static void take_turn(struct engine_memory *memory, const char *line)
{
    const char *text = behind(line, "print_info: no_alloc");
    uint64_t value;

    if (text && read_assigned(text, &value)) {
        memory->rehearsal = value != 0;
        memory->tells_no_alloc = true;
    } else if (strstr(line, "load_model: loading model") ||
               (!memory->tells_no_alloc && strstr(line, "fitting params to free memory took"))) {
        engine_memory_init(memory);
    }
}

static void take_prompt_cache(struct engine_memory *memory, const char *line)
{
    const char *text = behind(line, "prompt cache is enabled, size limit: ");

    if (text && isdigit((unsigned char)*text))
        memory->prompt_cache_bytes = read_digits(&text, WHOLE_DIGITS_MAX) * MIB;
    if (strstr(line, "n_ctx_slot = ") && strstr(line, "kv_unified = 'true'"))
        memory->unified = true;
}

static void take_context(struct engine_memory *memory, const char *line)
{
    const char *text = behind(line, "llama_context: n_outputs_max ");
    uint64_t value;

    if (strstr(line, "constructing llama_context"))
        begin_context(memory);
    else if (text && read_assigned(text, &value) && memory->output_rows == 0)
        memory->output_rows = (uint32_t)value;
}

void engine_memory_take(struct engine_memory *memory, const char *line, size_t len)
{
    char text[ENGINE_MEMORY_LINE_MAX];

    len = len < sizeof text - 1 ? len : sizeof text - 1;
    memcpy(text, line, len);
    text[len] = '\0';
    take_turn(memory, text);
    if (memory->rehearsal)
        return;
    take_context(memory, text);
    take_projector(memory, text);
    take_prompt_cache(memory, text);
    take_buffer(memory, text);
}

uint64_t engine_memory_of(const struct engine_memory *memory, enum engine_buffer buffer)
{
    uint64_t sum = 0;

    assert(buffer < ENGINE_BUFFER_COUNT);
    for (size_t i = 0; i < memory->device_count; i++)
        sum = saturating_sum(sum, memory->devices[i].bytes[buffer]);
    return sum;
}

bool engine_memory_is_whole(const struct engine_memory *memory)
{
    return engine_memory_of(memory, ENGINE_BUFFER_TENSORS) > 0 &&
           engine_memory_of(memory, ENGINE_BUFFER_COMPUTE) > 0;
}

uint64_t engine_memory_total(const struct engine_memory *memory)
{
    uint64_t sum = 0;

    for (enum engine_buffer buffer = 0; buffer < ENGINE_BUFFER_COUNT; buffer++)
        sum = saturating_sum(sum, engine_memory_of(memory, buffer));
    return sum;
}

uint64_t engine_memory_on(const struct engine_memory *memory, bool host)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < memory->device_count; i++)
        for (enum engine_buffer buffer = 0; buffer < ENGINE_BUFFER_COUNT; buffer++)
            if (memory->devices[i].host == host)
                sum = saturating_sum(sum, memory->devices[i].bytes[buffer]);
    return sum;
}
