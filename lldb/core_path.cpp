// SPDX-License-Identifier: Apache-2.0
#include "core_path.h"

#include <cstdio>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace {

const size_t MAX_NOTES = 1 << 20; // the first thread's note comes first: what lies beyond is not needed

bool read_at(int fd, void *buffer, size_t length, uint64_t offset)
{
    return offset < INT64_MAX && pread(fd, buffer, length, static_cast<off_t>(offset)) == static_cast<ssize_t>(length);
}

// pr_pid of the first NT_PRSTATUS: after siginfo (12), cursig (4 with its padding) and two long masks.
int32_t first_tid(const std::vector<char> &notes, size_t word)
{
    for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= notes.size();) {
        Elf64_Nhdr note;
        std::memcpy(&note, &notes[at], sizeof(note));
        const size_t desc = at + sizeof(note) + ((static_cast<size_t>(note.n_namesz) + 3) & ~size_t{3});
        const size_t pid = desc + 16 + 2 * word;
        int32_t tid;
        if (note.n_type == NT_PRSTATUS && pid + sizeof(tid) <= notes.size()) {
            std::memcpy(&tid, &notes[pid], sizeof(tid));
            return tid;
        }
        at = desc + ((static_cast<size_t>(note.n_descsz) + 3) & ~size_t{3});
    }
    return 0;
}

template <typename Header, typename Program> int32_t core_tid(int fd, size_t word)
{
    Header header;
    Program program;
    if (!read_at(fd, &header, sizeof(header), 0) || header.e_type != ET_CORE || header.e_phentsize != sizeof(program))
        return 0;
    for (uint64_t i = 0; i < header.e_phnum; i++) {
        if (!read_at(fd, &program, sizeof(program), header.e_phoff + i * sizeof(program)))
            return 0;
        if (program.p_type != PT_NOTE)
            continue;
        std::vector<char> notes(program.p_filesz < MAX_NOTES ? static_cast<size_t>(program.p_filesz) : MAX_NOTES);
        return read_at(fd, notes.data(), notes.size(), program.p_offset) ? first_tid(notes, word) : 0;
    }
    return 0;
}

// The id of the first thread in an ELF core of this host's byte order; 0: it is none.
int32_t tid_of_core(const char *path)
{
    struct stat status;
    unsigned char ident[EI_NIDENT];
    const int fd = stat(path, &status) == 0 && S_ISREG(status.st_mode) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0)
        return 0;
    int32_t tid = 0;
    if (read_at(fd, ident, sizeof(ident), 0) && std::memcmp(ident, ELFMAG, SELFMAG) == 0)
        tid = ident[EI_CLASS] == ELFCLASS64 ? core_tid<Elf64_Ehdr, Elf64_Phdr>(fd, 8) : core_tid<Elf32_Ehdr, Elf32_Phdr>(fd, 4);
    (void)close(fd);
    return tid;
}

} // namespace

std::string core_path_of(lldb::SBProcess &process)
{
    FILE *maps = std::fopen("/proc/self/maps", "re");
    char line[4200];
    std::string last, found;
    while (maps && found.empty() && std::fgets(line, sizeof(line), maps)) {
        char *path = std::strchr(line, '/');
        if (!path)
            continue;
        path[std::strcspn(path, "\n")] = '\0';
        if (last == path)
            continue;
        last = path;
        const int32_t tid = tid_of_core(path);
        if (tid > 0 && process.GetThreadByID(static_cast<lldb::tid_t>(tid)).IsValid())
            found = path;
    }
    if (maps)
        (void)std::fclose(maps);
    return found;
}
