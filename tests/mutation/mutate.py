#!/usr/bin/python3
"""Change one operator of the production code, build, and see whether a unit test notices.

    make mutation ARGS='--files gateway/fanout/hub.c broker/locks/*.c --count 60 --seed 1'
    make mutation ARGS='--state --count 100'        # the state modules only
    make mutation ARGS='--state --list'             # which files those are

A mutation is one of: && for || and the reverse, < for <=, > for >=, == for !=, + for -, a constant
one higher or lower, a negation left out, a statement left out.  The tool works on a copy of the
tree in build/mutation and never touches the checkout.  It rebuilds one object for each mutation,
links it into the unit tests that contain that object, and runs them until one fails; a test that
leaks memory or takes five times its usual time has failed, too.

Not counted: mutations that do not compile, those that compile to the same code, and those listed in
tests/mutation/equivalent, with a reason, because no test can tell them from the original.  Asserts
and calls that only log are not mutated.

Prints the seed, each mutation that no unit test noticed, and the counts.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import os
import random
import re
import shlex
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TREE = os.path.join(ROOT, "build", "mutation")
B = "build"
EQUIVALENT = os.path.join(ROOT, "tests", "mutation", "equivalent")
FOLDERS = ("shared", "broker", "gateway", "feeder", "consumer", "doctor")
SWAPS = {"&&": "||", "||": "&&", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
         "+": "-", "-": "+", "+=": "-=", "-=": "+=", "++": "--", "--": "++"}
TOKEN = re.compile(
    r"""->|\+\+|--|<<=?|>>=?|[-+*/%&|^<>=!]=|&&|\|\||0[xX][0-9a-fA-F]+\w*|\d[\w.]*|\w+|\S"""
)
IGNORED = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*',
    re.S | re.M,
)
STATEMENT = re.compile(
    r"^[ \t]+(?!return\b|break\b|continue\b|goto\b|case\b|default\b|else\b|do\b|if\b|for\b|while\b)"
    r"[\w*(][^;{}\n]*;$",
    re.M,
)
UNTESTED = re.compile(r"\b(assert|static_assert|_Static_assert|log_\w+|LOG\w*)\s*\(")
# How many elements an array has, and how often a line is logged.
UNSEEN = re.compile(
    r"^[ \t]+(?:\w+[ \t]+)+\**\w+(?:\[[^\]\n]*\])+(?=[ \t]*[;,=])|^[^\n]*struct log_limit[^\n]*",
    re.M,
)
ARRAYS = re.compile(r"^[ \t]+(?:static[ \t]+)?(?:const[ \t]+)?char[ \t]+\w+\[[^;]*;", re.M)
FINISH = 5  # times the usual duration of a test, at least two seconds


class Mutation:
    def __init__(self, path, text, at, end, new, what):
        self.path, self.at, self.end, self.new, self.what = path, at, end, new, what
        self.line = text.count("\n", 0, at) + 1
        begin = text.rfind("\n", 0, at) + 1
        self.source = text[begin:text.find("\n", at)].strip()

    def __str__(self):
        return f"{self.path}:{self.line}: {self.what}: {self.source}"

    @property
    def key(self):
        return f"{self.path}: {self.what}: {self.source}"


def blank(text):
    """The text without comments, strings and preprocessor lines, at the same offsets."""
    return IGNORED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def without_sizes(match):
    """Texts that are declared together: of all of them the size is unseen."""
    return re.sub(r"\[\d*\]", lambda m: " " * len(m[0]), match[0])


def untested_ranges(code):
    """Where asserts and log calls stand, up to the closing parenthesis."""
    for m in UNTESTED.finditer(code):
        depth, at = 0, m.end() - 1
        while at < len(code):
            depth += {"(": 1, ")": -1}.get(code[at], 0)
            at += 1
            if not depth:
                break
        yield m.start(), at


def mutations_of(path, text):
    code = blank(text)
    for begin, end in list(untested_ranges(code)):
        code = code[:begin] + re.sub(r"[^\n]", " ", code[begin:end]) + code[end:]
    code = UNSEEN.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), ARRAYS.sub(without_sizes, code))
    found, before, depth = [], "", 0
    for m in TOKEN.finditer(code):
        token = m[0]
        depth += {"{": 1, "}": -1}.get(token, 0)
        is_operand = bool(re.match(r"[\w)\]]", before)) and before not in (
            "return",
            "case",
            "sizeof",
        )
        if depth and token in SWAPS and (is_operand or token in ("++", "--")):
            found.append(
                Mutation(path, text, m.start(), m.end(), SWAPS[token], f"{token} to {SWAPS[token]}")
            )
        elif depth and token == "!":
            found.append(Mutation(path, text, m.start(), m.end(), "", "! left out"))
        elif depth and re.fullmatch(r"\d+[uUlL]*", token):
            digits = re.match(r"\d+", token)[0]
            for change in (1, -1) if int(digits) else (1,):
                new = f"{int(digits) + change}{token[len(digits):]}"
                found.append(Mutation(path, text, m.start(), m.end(), new, f"{token} to {new}"))
        before = token[-1] if token[-1] in ")]" else token
    for m in STATEMENT.finditer(code):
        if not re.match(
            r"\s*(?:(?:const|static|struct|enum|unsigned|volatile)\b|\w+ \**\w+(?:\[.*\])?(?: "
            r"=|;|,))",
            m[0],
        ):
            if len(m[0].strip()) > 1:
                found.append(Mutation(path, text, m.start(), m.end(), ";", "left out"))
    return found


def run(*command, timeout=None, env=None, log=None):
    """The exit code; None if it took too long."""
    try:
        done = subprocess.run(
            command,
            cwd=TREE,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log or subprocess.DEVNULL,
            stderr=log or subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
        return done.returncode
    except subprocess.TimeoutExpired:
        return None


def make(*arguments):
    """Linked so that a test that leaks memory fails, as it does in make test-sanitize."""
    variables = ["SAN=", f"B={B}", "CFLAGS=-O1"]
    return [
        "env",
        "LDFLAGS=-fsanitize=leak",
        "make",
        "--no-print-directory",
        *variables,
        *arguments,
    ]


def make_would(target, newer):
    """The commands by which make would renew the target if that file were newer."""
    out = subprocess.run(
        make("-n", "V=1", "-W", newer, target), cwd=TREE, capture_output=True, text=True, check=True
    )
    return [
        shlex.split(line)
        for line in out.stdout.split("\n")
        if re.search(rf" -o {re.escape(target)}$", line)
    ][-1]


def copy_tree():
    """Only what differs, so that make builds only that."""
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    for path in filter(None, tracked):
        source, target = os.path.join(ROOT, path), os.path.join(TREE, path)
        if not os.path.isfile(source):
            continue
        with open(source, "rb") as f:
            data = f.read()
        if os.path.exists(target):
            with open(target, "rb") as f:
                if f.read() == data:
                    continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as f:
            f.write(data)
        os.chmod(target, os.stat(source).st_mode)
    kept = set(tracked)
    for folder in (*FOLDERS, "tests"):
        for top, _, names in os.walk(os.path.join(TREE, folder)):
            for name in names:
                if os.path.relpath(os.path.join(top, name), TREE) not in kept:
                    os.unlink(os.path.join(top, name))


def contents_of(object_file):
    """Sections and relocations, without the name of the file."""
    out = subprocess.run(
        ["objdump", "-rs", object_file], cwd=TREE, capture_output=True, text=True, check=True
    )
    return out.stdout.split("\n", 3)[3]


class Tests:
    """The unit tests of the copy: what each contains, how long it takes, how it is linked."""

    def __init__(self, environment):
        self.environment = environment
        self.lock = threading.Lock()
        self.links, self.compiles, self.plain = {}, {}, {}
        self.paths, self.seconds = [], {}
        self.of_source = collections.defaultdict(list)

    def prepare(self):
        code = subprocess.run(
            make(f"-j{os.cpu_count()}", "unit-build"),
            cwd=TREE,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if code.returncode:
            sys.exit("mutate: the unit tests do not build")
        for top, _, names in sorted(os.walk(os.path.join(TREE, "tests", "unit"))):
            folder = os.path.relpath(top, TREE)
            self.paths += [f"{B}/{folder}/{name[:-2]}" for name in sorted(names)
                           if name.startswith("test_") and name.endswith(".c")]
        for path in self.paths:
            began = time.monotonic()
            with open(os.path.join(TREE, B, "baseline.log"), "wb") as log:
                code = run(path, env=self.environment, timeout=300, log=log)
            if code:
                sys.exit(
                    f"mutate: {path} fails without a mutation: see build/mutation/{B}/baseline.log"
                )
            self.seconds[path] = time.monotonic() - began
            table = subprocess.run(
                ["readelf", "-sW", path], cwd=TREE, capture_output=True, text=True, check=True
            )
            for name in set(re.findall(r" FILE .* (\S+\.c)$", table.stdout, re.M)):
                self.of_source[name].append(path)

    def of(self, source):
        """The tests that contain it: first that of its name, then the fast ones."""
        name = os.path.basename(source)
        own = f"test_{name[:-2]}"
        return sorted(self.of_source[name],
                      key=lambda t: (not os.path.basename(t).startswith(own), self.seconds[t]))

    def compile(self, source, changed, object_file):
        with self.lock:
            if source not in self.compiles:
                target = f"{B}/{source[:-2]}.o"
                self.compiles[source] = make_would(target, source)
        command = [a for a in self.compiles[source] if a not in ("-MMD", "-MP", "-Werror")]
        command[command.index("-c") + 1] = changed
        command[command.index("-o") + 1] = object_file
        return run(*command, "-w") == 0

    def is_same(self, source, object_file):
        """Whether the object has the code and data of the unchanged source."""
        with self.lock:
            known = self.plain.get(source)
        if not known:
            path = f"{B}/plain/{source.replace('/', '_')[:-2]}.o"
            os.makedirs(os.path.join(TREE, B, "plain"), exist_ok=True)
            self.compile(source, source, path)
            known = contents_of(path)
            with self.lock:
                self.plain[source] = known
        return contents_of(object_file) == known

    def fails(self, path, source, object_file, program):
        """Whether the test fails with that object in place of its own."""
        with self.lock:
            if path not in self.links:
                self.links[path] = make_would(path, f"{path}.o")
        own = f"{B}/{source[:-2]}.o"
        command = [object_file if a == own else a for a in self.links[path]]
        at = command.index("-o")
        command[at + 1] = program
        if object_file not in command:  # in a library: the object before it is taken instead
            command.insert(command.index(f"{path}.o") + 1, object_file)
        if run(*command):
            return False
        limit = max(2, FINISH * self.seconds[path])
        return run(program, env=self.environment, timeout=limit) != 0


def judge(tests, mutation, number):
    """'invalid', 'same', 'survived' or the test that noticed it."""
    folder = os.path.join(TREE, B, f"mutant-{number}")
    os.makedirs(folder, exist_ok=True)
    changed = os.path.join(folder, os.path.basename(mutation.path))
    object_file, program = changed[:-2] + ".o", os.path.join(folder, "test")
    with open(os.path.join(TREE, mutation.path), encoding="utf-8") as f:
        text = f.read()
    with open(changed, "w", encoding="utf-8") as f:
        f.write(
            f'#line 1 "{mutation.path}"\n'
            + text[: mutation.at]
            + mutation.new
            + text[mutation.end :]
        )
    try:
        if not tests.compile(mutation.path, changed, object_file):
            return "invalid"
        if tests.is_same(mutation.path, object_file):
            return "same"
        for path in tests.of(mutation.path):
            if tests.fails(path, mutation.path, object_file, program):
                return os.path.basename(path)
        return "survived"
    finally:
        subprocess.run(["rm", "-rf", folder], check=False)


def sources(patterns):
    """The production sources that match, without the programs' main files."""
    found = []
    for folder in FOLDERS:
        for top, _, names in sorted(os.walk(os.path.join(ROOT, folder))):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(top, name), ROOT)
                if name.endswith(".c") and name != "main.c" and "examples" not in path \
                        and any(fnmatch.fnmatch(path, p) for p in patterns):
                    found.append(path)
    return found


def state_modules():
    """The sources of the state modules, which ARCHITECTURE.md names: `core_…` is every core_*.c."""
    with open(os.path.join(ROOT, "ARCHITECTURE.md"), encoding="utf-8") as f:
        text = re.search(r"\*\*State modules\*\*(.*?)One exception", f.read(), re.S)[1]
    folders = re.findall(r"in\s`([\w/]+)`", text)
    names = set(re.findall(r"`([\w…]+)`", text)) - {"now", *folders}
    paths = sources([f"{folder}/*" for folder in folders])
    found = set()
    for name in names:
        pattern = name.replace("…", "*")
        matching = [p for p in paths if fnmatch.fnmatch(os.path.basename(p)[:-2], pattern)]
        if not matching:
            sys.exit(f"mutate: ARCHITECTURE.md names the state module {name}, and there is no file")
        found.update(matching)
    return found


def known_equivalent():
    """What tests/mutation/equivalent lists: 'path: mutation: source line', a reason above."""
    if not os.path.exists(EQUIVALENT):
        return set()
    with open(EQUIVALENT, encoding="utf-8") as f:
        return {line.rstrip("\n") for line in f if line.strip() and not line.startswith("#")}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", nargs="+", default=["*"], help="patterns of production files")
    parser.add_argument("--state", action="store_true", help="only the state modules among them")
    parser.add_argument("--count", type=int, default=60, help="mutations that are built and tested")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=1, help="mutations at a time")
    parser.add_argument("--list", action="store_true", help="only print the chosen files")
    parser.add_argument(
        "--verbose", action="store_true", help="also print what was noticed, and by which test"
    )
    return parser.parse_args()


def main():
    args = arguments()
    chosen = sources(args.files)
    if args.state:
        states = state_modules()
        chosen = [p for p in chosen if p in states]
    if args.list:
        print("\n".join(chosen))
        return
    print(f"seed {args.seed}", flush=True)
    copy_tree()
    tests = Tests({**os.environ, "TEST_SEED": str(args.seed)})
    tests.prepare()
    candidates = []
    for path in chosen:
        with open(os.path.join(TREE, path), encoding="utf-8") as f:
            candidates += mutations_of(path, f.read())
    random.Random(args.seed).shuffle(candidates)
    equivalent = known_equivalent()
    print(f"{len(candidates)} mutations possible in {len(chosen)} files", flush=True)
    counts, survivors = collections.Counter(), []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        # In slices, so that not all candidates are built before the count is reached.
        while candidates and counts["noticed"] + counts["survived"] < args.count:
            size = min(args.jobs * 2, args.count - counts["noticed"] - counts["survived"])
            batch, candidates = candidates[:size], candidates[size:]
            for mutation, outcome in zip(
                batch, pool.map(lambda m: judge(tests, m[1], m[0]), enumerate(batch))
            ):
                if outcome == "survived" and mutation.key in equivalent:
                    outcome = "equivalent"
                kind = (
                    outcome
                    if outcome in ("invalid", "same", "survived", "equivalent")
                    else "noticed"
                )
                counts[kind] += 1
                if kind == "survived":
                    survivors.append(mutation)
                    print(f"not noticed: {mutation}", flush=True)
                elif args.verbose:
                    print(f"{outcome}: {mutation}", flush=True)
    tried = counts["noticed"] + counts["survived"]
    print(
        f"seed {args.seed}: unit tests noticed {counts['noticed']} of {tried} mutations "
        f"({100 * counts['noticed'] / max(tried, 1):.0f} %); not counted: {counts['invalid']} that "
        f"do not compile, "
        f"{counts['same']} of the same code, {counts['equivalent']} listed as equivalent"
    )


if __name__ == "__main__":
    main()
