/* announcement: whatever TXT records say, an announcement that is taken holds nothing but printable
 * text and usable addresses, and goes back into records and out again unchanged; one that is
 * refused leaves the output alone. The input is what DNS has: a length byte before each record. */
#include "common/discovery/announcement.h"
#include "common/trust/certificate.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As the browser does it: records with a NUL leave an empty place. */
static void split(struct txt_records *records, const uint8_t *data, size_t size)
{
    *records = (struct txt_records){.count = 0};
    while (size > 0 && records->count < TXT_RECORDS_MAX) {
        size_t len = data[0] < size - 1 ? data[0] : size - 1;
        char *record = records->at[records->count++];
        if (!memchr(data + 1, '\0', len))
            memcpy(record, data + 1, len);
        data += 1 + len;
        size -= 1 + len;
    }
}

static void assert_printable(const char *text, size_t size)
{
    assert(memchr(text, '\0', size));
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        assert(*c >= ' ' && *c != 0x7f);
        assert(c[0] != 0xc2 || c[1] >= 0xa0);
    }
}

static void assert_sound(const struct announcement *announcement)
{
    assert(certificate_name_valid(announcement->name));
    assert(key_z85_valid(announcement->key));
    assert_printable(announcement->mesh, sizeof(announcement->mesh));
    assert_printable(announcement->models, sizeof(announcement->models));
    assert(announcement->addrs.count <= HOST_ADDRS_MAX);
    for (size_t i = 0; i < announcement->addrs.count; i++)
        assert(host_addr_valid(announcement->addrs.at[i]));
}

static void assert_goes_back(const struct announcement *announcement)
{
    struct txt_records records;
    struct announcement back;
    announcement_to_txt(announcement, &records);
    assert(records.count <= TXT_RECORDS_MAX);
    for (size_t i = 0; i < records.count; i++)
        assert_printable(records.at[i], sizeof(records.at[i]));
    int r = announcement_from_txt(&records, &back, NULL);
    assert(r == 0);
    assert(memcmp(announcement, &back, sizeof(back)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct txt_records records;
    struct announcement announcement, untouched;
    struct err err = {.text = ""};

    split(&records, data, size);
    memset(&announcement, 0x5a, sizeof(announcement));
    memcpy(&untouched, &announcement, sizeof(untouched));
    int r = announcement_from_txt(&records, &announcement, &err);
    if (r == 0) {
        assert_sound(&announcement);
        assert_goes_back(&announcement);
    } else {
        assert(r == -EINVAL && err.text[0]);
        assert(memcmp(&announcement, &untouched, sizeof(untouched)) == 0);
    }
    return 0;
}
