# SPDX-License-Identifier: Apache-2.0
"""What `pybraid COMMAND --help` and `pyannotate --help` list, the man page and the completions of three shells have, and the other way round."""
import glob
import os
import re
import shutil
import subprocess

import pytest

from support.pythons import REPO
from support.shell import PYBRAID, Done, pybraid
from support.tools import BUILD

PYANNOTATE = os.environ.get("PYANNOTATE_PROGRAM", os.path.join(BUILD, "bin", "pyannotate"))
OPTION = r"--[a-z][a-z-]*|-[a-zA-Z]\b"


def commands():
    """{name: what --help says} of every command, as `pybraid --help` lists them."""
    listed = re.findall(r"^  ([a-z]+) {2,}\S", pybraid("--help").out, re.M)
    return [name for name in listed if name != "pybraid"]


def test_commands_are_listed():
    assert {"dump", "watch", "ps", "doctor", "record"} <= set(commands())
    top = open(REPO + "/docs/man/pybraid.1").read()
    assert re.findall(r"^\.It Cm ([a-z]+)$", top, re.M) and set(re.findall(r"^\.It Cm ([a-z]+)$", top, re.M)) == set(commands())
    pages = {os.path.basename(path) for path in glob.glob(REPO + "/docs/man/*.1")}
    assert pages == {"pybraid.1", "pyannotate.1"} | {"pybraid-%s.1" % name for name in commands()}


def program(command, *words, **options):
    """`pybraid COMMAND WORDS...`; pyannotate is a program of its own, and reads nothing here."""
    if command != "pyannotate":
        return pybraid(command, *words, **options)
    done = subprocess.run([PYANNOTATE, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                          timeout=60)
    return Done(done.returncode, done.stdout, done.stderr)


def words_of(command):
    """(the program whose completion it is, the words before an option)."""
    return ("pyannotate", "pyannotate") if command == "pyannotate" else ("pybraid", "pybraid " + command)


def page_of(command):
    return REPO + "/docs/man/%s.1" % (command if command == "pyannotate" else "pybraid-" + command)


def of_help(command):
    """Options at the beginning of the lines of --help: {every spelling: takes a value}."""
    done = program(command, "--help")
    assert done.code == 0 and not done.err
    found = {}
    for line in done.out.splitlines():
        match = re.match(r" +((?:%s)(?:, (?:%s))?)( [A-Z]+| *=[A-Z]+)?(?:  |$)" % (OPTION, OPTION), line)
        if match:
            found.update(dict.fromkeys(re.findall(OPTION, match.group(1)), bool(match.group(2))))
    return found


def of_man(command):
    """Of the page's list of options."""
    text = open(page_of(command)).read()
    found = {}
    for line in re.findall(r"^\.It Fl .*", text, re.M):
        value = " Ar " in line
        found.update(dict.fromkeys(("-" + word for word in re.findall(r"Fl (-?[\w-]+)", line)), value))
    return found


def of_bash(command):
    name, words = words_of(command)
    script = 'source %s; COMP_WORDS=(%s -); COMP_CWORD=%d; _%s; printf "%%s\\n" "${COMPREPLY[@]}"' % (
        REPO + "/cli/completions/%s.bash" % name, words, len(words.split()), name)
    return set(subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, check=True, timeout=30).stdout.decode().split())


def of_fish(command):
    words = set()
    name, before = words_of(command)
    for beginning in ("-", "--"):
        script = 'source %s; complete -C "%s %s"' % (REPO + "/cli/completions/%s.fish" % name, before, beginning)
        done = subprocess.run(["fish", "--no-config", "-c", script], stdout=subprocess.PIPE, check=True, timeout=30,
                              env=dict(os.environ, PATH=os.path.dirname(PYBRAID) + ":" + os.environ["PATH"]))
        words |= {line.split("\t")[0] for line in done.stdout.decode().splitlines()}
    return {word for word in words if re.fullmatch(OPTION, word)}


def of_zsh(command):
    text = open(REPO + "/cli/completions/%s.zsh" % words_of(command)[0]).read()
    part = text if command == "pyannotate" else re.search(r"^                %s\)\n(.*?);;$" % command, text, re.M | re.S).group(1)
    found = set()
    for word in re.findall(r"(?:^|\s)(\S*)\[", part):
        braces = re.search(r"\{(.*?)\}", word)
        found |= set(braces.group(1).split(",") if braces else re.findall(OPTION, word.rpartition(")")[2]))
    return found


@pytest.mark.parametrize("command", ["dump", "watch", "ps", "doctor", "record", "pyannotate"])
def test_options(command):
    wanted = of_help(command)
    assert "--help" in wanted and len(wanted) >= 2, wanted
    assert of_man(command) == wanted
    assert of_bash(command) == set(wanted)
    assert of_zsh(command) == set(wanted)
    if not shutil.which("fish"):
        pytest.skip("no fish: its completions are not looked at")
    assert of_fish(command) == set(wanted)


@pytest.mark.parametrize("command", ["dump", "watch", "ps", "doctor", "record", "pyannotate"])
def test_every_option_is_one(command):
    """Each is known to the command: the complaint is about something else, or there is none."""
    for option, value in of_help(command).items():
        if option in ("-h", "--help"):
            assert program(command, option).code == 0
            continue
        # A value that no option takes; a target that there is not.
        words = [option, "\x01"] if value else [option]
        said = program(command, *words, "/nonexistent/x", timeout=30).err
        assert "no option" not in said, (option, said)
    for wrong in ("--nonsense", "-Z"):
        done = program(command, wrong)
        assert done.code in (2, 125) and "no option" in done.err and wrong in done.err, done


def test_synopsis_has_every_option():
    for command in commands() + ["pyannotate"]:
        text = open(page_of(command)).read()
        synopsis = text[text.index(".Sh SYNOPSIS"):text.index(".Sh DESCRIPTION")]
        letters = set("".join(re.findall(r"Fl ([a-zA-Z]+)\b", synopsis)))
        words = set(re.findall(r"Fl (-[a-z-]{2,})", synopsis))
        for line in re.findall(r"^\.It Fl .*", text, re.M):
            names = re.findall(r"Fl (-?[\w-]+)", line)
            assert "h" in names or any(name in letters or name in words for name in names), (command, line)


def test_shells_accept_the_files():
    for shell in ("bash", "zsh", "fish"):
        if not shutil.which(shell):
            pytest.skip("no " + shell)
        for name in ("pybraid", "pyannotate"):
            subprocess.run([shell, "-n", REPO + "/cli/completions/%s.%s" % (name, shell)], check=True, timeout=30)


def test_bash_completes_arguments():
    def complete(*words):
        script = 'source %s; COMP_WORDS=(pybraid "$@"); COMP_CWORD=$#; _pybraid; printf "%%s\\n" "${COMPREPLY[@]}"' % (
            REPO + "/cli/completions/pybraid.bash")
        done = subprocess.run(["bash", "-c", script, "bash", *words], stdout=subprocess.PIPE, check=True, timeout=30,
                              env=dict(os.environ, PATH=os.path.dirname(PYBRAID) + ":" + os.environ["PATH"]))
        return done.stdout.decode().split()
    assert set(complete("")) == set(commands()) | {"help", "--version", "--help"}
    assert complete("do") == ["doctor"]
    assert str(os.getpid()) in complete("doctor", "") and str(os.getpid()) in complete("dump", "")
    assert complete("dump", "--color", "") == ["auto", "always", "never"]
    assert complete("dump", "--tra") == ["--traceback"]
    assert complete("nonsense", "-") == []


def test_man_pages_are_clean():
    pages = sorted(glob.glob(REPO + "/docs/man/*.1"))
    if not shutil.which("mandoc"):
        pytest.skip("no mandoc")
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", *pages], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert done.returncode == 0 and not re.search(rb"WARNING|ERROR", done.stdout), done.stdout.decode()
    for page in pages:
        for name, section in re.findall(r"^\.Xr (\S+) (\d)", open(page).read(), re.M):
            assert not name.startswith("pybraid") or os.path.exists(REPO + "/docs/man/%s.%s" % (name, section)), (page, name)
