#!/usr/bin/python3
"""Which branches of the log, of recovery and of the RESP parser no test takes, and why.

    tests/coverage.py            runs the tests of build/coverage and holds what they left out
                                 against the table in docs/coverage.md
    tests/coverage.py --again    the same of what the last run measured
    tests/coverage.py --write    and writes the table anew, with the reasons that are there

A branch that no test takes fails the run unless the table has it with a reason. A row is known by the
text of the condition, not by its line. Rows of branches that are taken are told of, not a failure: what
threads and a machine's timing decide is now one way, now the other. A reason that begins with "open"
says that a test is missing.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOC = ROOT / "docs" / "coverage.md"
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"
AREAS = ("engine/log/", "recovery/", "src/resp/")
SUITES = {"io", "engine", "recovery", "src", "sim"}
# Of the tests of the real server those that lead through the three areas.
MODULES = ("test_archive", "test_backup", "test_check", "test_damage", "test_forget", "test_full_disk",
           "test_golden", "test_log", "test_online_past", "test_past", "test_restore", "test_rot",
           "test_scrub", "test_security", "test_sidecars")
SECONDS_MAX = 1800


class Branch(NamedTuple):
    file: str
    function: str
    condition: str
    way: str        # "true" or "false"; "called": the function never is

    def cells(self):
        condition = self.condition.replace("|", "\\|")
        return f"| {self.file} | `{self.function}` | `{condition}` | {self.way} |"


def commands(build):
    """What is run: (name, folder, command)."""
    with open(build / "meson-info" / "intro-tests.json", encoding="utf-8") as file:
        tests = json.load(file)
    for test in tests:
        if SUITES & {suite.split(":")[-1] for suite in test["suite"]}:
            yield test["name"], ROOT, test["cmd"]
    for module in MODULES:
        yield module, ROOT / "tests" / "e2e", ["/usr/bin/python3", "-m", "unittest", module]


def run(build, profiles, name, folder, command):
    environment = dict(os.environ, LLVM_PROFILE_FILE=str(profiles / f"{name}-%c%2m.profraw"),
                       FIRNLOG=str(build / "firnlog"), PYTHONPATH=str(ROOT / "tests" / "e2e"))
    environment.pop("FIRNLOG_PROVE", None)
    with open(profiles / f"{name}.log", "wb") as log:
        try:
            done = subprocess.run(command, cwd=folder, env=environment, stdout=log,
                                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  timeout=SECONDS_MAX, check=False)
            return done.returncode
        except subprocess.TimeoutExpired:
            return "it hung"


def measure(build, profiles, jobs):
    shutil.rmtree(profiles, ignore_errors=True)
    profiles.mkdir(parents=True)
    failures = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = list(commands(build))
        for (name, _, _), code in zip(runs, pool.map(lambda it: run(build, profiles, *it), runs)):
            if code != 0:
                failures.append(f"{name} fails ({code}): {profiles / name}.log")
    # What a process that was killed left behind is no profile.
    whole = [path for path in sorted(profiles.glob("*.profraw")) if path.stat().st_size != 0]
    subprocess.run(["llvm-profdata-16", "merge", "--sparse", "--failure-mode=all", "-o",
                    str(profiles / "all.profdata"), *map(str, whole)], check=True)
    return failures


def exported(build, profiles):
    programs = sorted({pathlib.Path(command[0]) for _, _, command in commands(build)
                       if command[0] != "/usr/bin/python3"})
    objects = [str(build / "firnlog")]
    for program in programs:
        objects += ["--object", str(program)]
    done = subprocess.run(["llvm-cov-16", "export", "--instr-profile",
                           str(profiles / "all.profdata"), *objects,
                           *(str(ROOT / area) for area in AREAS)],
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["data"][0]["functions"]


def short_names(mangled):
    """Names as a person would say them: without what they are given, and of a lambda whose it is."""
    done = subprocess.run(["c++filt"], input="\n".join(name.split(":", 1)[-1] for name in mangled),
                          stdout=subprocess.PIPE, text=True, check=True)
    return {name: short_name(line) for name, line in zip(mangled, done.stdout.splitlines())}


def short_name(name):
    name = name.replace("(anonymous namespace)::", "")
    name = re.split(r"::\$_|::'lambda|::\{lambda", name)[0]
    bare = None
    while bare != name:
        bare, name = name, re.sub(r"\([^()]*\)|<[^<>()]*>|\[abi:\w+\]", "", name)
    name = name.split(" const")[0].split(" ")[-1]
    return re.sub(r"^(firnlog|engine|recovery|server|io|resp|::)+", "", name)


class Sources:
    def __init__(self):
        self.lines = {}

    def statement(self, path, first_line, first_column, *_):
        """What leads to it, from the end of the statement before; and the rest of its line."""
        self.text(path, 1, 1, 1, 1)
        lines = self.lines[path][max(first_line - 6, 0):first_line]
        rest = lines[-1][first_column - 1:]
        lines[-1] = lines[-1][:first_column - 1]
        return re.split(r"[;{}]", " ".join(lines))[-1] + rest

    def text(self, path, first_line, first_column, last_line, last_column):
        if path not in self.lines:
            self.lines[path] = path.read_text(encoding="utf-8").split("\n")
        lines = self.lines[path][first_line - 1:last_line]
        lines[-1] = lines[-1][:last_column - 1]
        lines[0] = lines[0][first_column - 1:]
        # A lambda is no link, and the table is a document.
        return " ".join(" ".join(lines).split()).replace("](", "] (")


def untaken(functions):
    """The branches that no test takes, in the order of the source."""
    names = short_names(sorted({function["name"] for function in functions}))
    counts, owner, called, begins = {}, {}, {}, {}
    for function in functions:
        path = pathlib.Path(function["filenames"][0])
        if not path.is_relative_to(ROOT):
            continue
        name = names[function["name"]]
        head = function["regions"][0]
        place = (path, head[0], head[1])
        called[place] = called.get(place, 0) + function["count"]
        begins[place] = name
        for branch in function["branches"]:
            at = (pathlib.Path(function["filenames"][branch[6]]), *branch[:4])
            taken = counts.setdefault(at, [0, 0])
            taken[0] += branch[4]
            taken[1] += branch[5]
            owner.setdefault(at, (name, place))
    sources = Sources()
    found, seen = [], {}

    def add(path, line, name, condition, way):
        file = str(path.relative_to(ROOT))
        if not file.startswith(AREAS):
            return
        times = seen[file, name, condition, way] = seen.get((file, name, condition, way), 0) + 1
        found.append((file, line, Branch(file, name, condition + (f" #{times}" if times > 1 else ""),
                                         way)))

    for (path, line, column), count in sorted(called.items()):
        # What the compiler makes by itself has no body here.
        if count == 0 and sources.text(path, line, column, line, column + 1) == "{":
            add(path, line, begins[path, line, column], "", "called")
    for at, taken in sorted(counts.items()):
        name, place = owner[at]
        condition = sources.text(*at)
        # A planted bug is none in this build, and what is ensured is so.
        statement = sources.statement(*at)
        if called[place] == 0 or "planted(" in statement or "ensure(" in statement:
            continue
        for way, count in zip(("true", "false"), taken):
            if count == 0:
                add(at[0], at[1], name, condition, way)
    return [branch for _, _, branch in sorted(found, key=lambda it: it[:2])]


def reasons():
    text = DOC.read_text(encoding="utf-8")
    known = {}
    for line in text[text.index(BEGIN):text.index(END)].splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) != 5 or cells[0] in ("file", "---"):
            continue
        file, function, condition, way, reason = cells
        known[Branch(file, function.strip("`"), condition.strip("`").replace("\\|", "|"), way)] = reason
    return known


def table(found, known):
    lines = ["| file | function | condition | never | why not |", "|---|---|---|---|---|"]
    return "\n".join(lines + [f"{branch.cells()} {known.get(branch, '')} |" for branch in found])


def write(found, known):
    text = DOC.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    DOC.write_text(text[:begin] + "\n" + table(found, known) + "\n" + text[end:], encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", default="build/coverage")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    build = ROOT / options.build
    profiles = build / "profiles"
    failures = [] if options.again else measure(build, profiles, options.jobs)
    found, known = untaken(exported(build, profiles)), reasons()
    missing = [branch for branch in found if not known.get(branch)]
    for branch in missing:
        failures.append(f"no test, and no reason: {branch.cells()}")
    for branch in sorted(set(known) - set(found)):
        print(f"taken, though there is a reason why not: {branch.cells()}")
    unwritten = sum(known.get(branch, "").startswith("open") for branch in found)
    print(f"report: branches that no test takes: {len(found)}, of them without a reason: "
          f"{len(missing)}, for want of a test: {unwritten}")
    if options.write:
        write(found, known)
    for failure in failures:
        print("FAILED", failure)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
