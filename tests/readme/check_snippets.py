#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles every C++ snippet of Markdown files: check_snippets.py FILE... -- COMPILER [FLAGS...]

A snippet that includes nothing gets <cmath>, <iostream>, parade.hpp and the readers of files. Where it is no sequence of declarations it is the body of a
function. Most of the time would go into the headers, so such snippets share a few translation units, each in a namespace or function of its own; where a unit
does not compile, its snippets are compiled one by one, and only that counts. Snippets with includes have to do with them: each is a unit.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

HEADERS = "".join(f"#include <{name}>\n" for name in (
    "cmath", "iostream", "parade/parade.hpp", "parade/data/cached.hpp", "parade/data/make_cache.hpp", "parade/data/table_data.hpp",
    "parade/io/csv.hpp", "parade/io/libsvm.hpp", "parade/io/model_file.hpp", "parade/io/npy.hpp"))
SHARED = 10  # snippets a unit, at most

at = sys.argv.index("--")
pages, compile_command = sys.argv[1:at], sys.argv[at + 1:]


class Snippet:
    def __init__(self, page, line, text):
        self.page, self.text = page, text
        self.at = f'#line {line} "{page}"\n'  # the compiler's messages then name the page
        self.has_includes = "#include" in text
        # A guess. Local classes have no templates, and a function holds no other.
        self.declares = bool(re.search(r"^\s*template|^(?!for\b|if\b|while\b|switch\b)\w[^;{}]*\) (?:const )?\{$", text, re.MULTILINE))

    def as_declarations(self, number=None):
        return self.at + self.text if number is None else f"namespace snippet_{number} {{\n{self.at}{self.text}}}\n"

    def as_function(self, number=0):
        return f"void snippet_{number}() {{\n{self.at}{self.text}}}\n"


def read(page):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    found = [Snippet(page, text.count("\n", 0, match.start(1)) + 1, match[1])
             for match in re.finditer(r"^```cpp\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]
    if not found and page == pages[0]:
        sys.exit(f"{page} holds no C++ snippet: nothing was checked")
    if re.search(r"^([ \t]+```|[ \t]*~~~)[ \t]*(cpp|c\+\+)", text, re.MULTILINE):
        sys.exit(f"{page} has a C++ fence that is indented or of tildes, which is not seen here")
    if blank := re.search(r"@[A-Z_]+@", text):
        sys.exit(f"{page} still holds {blank[0]}")
    return found


def errors_of(source):
    """What the compiler says; None where it compiles."""
    result = subprocess.run([*compile_command, "-fsyntax-only", "-x", "c++", "-"], input=source, text=True, capture_output=True)
    return None if result.returncode == 0 else result.stderr or f"status {result.returncode}"


def fault_of(snippet):
    """None for a snippet that compiles by itself, as declarations or as a function."""
    headers = "" if snippet.has_includes else HEADERS
    errors = []
    for source in (snippet.as_declarations(), snippet.as_function()):
        errors.append(errors_of(headers + source))
        if errors[-1] is None:
            return None
    return f"this snippet of {snippet.page} does not compile:\n{snippet.text}\nas declarations:\n{errors[0]}\nin a function:\n{errors[1]}"


def compiles_together(unit):
    sources = (one.as_declarations(i) if one.declares else one.as_function(i) for i, one in enumerate(unit))
    return errors_of(HEADERS + "".join(sources)) is None


snippets = [snippet for page in pages for snippet in read(page)]
workers = os.cpu_count() or 1
with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    sharing = [snippet for snippet in snippets if not snippet.has_includes]
    count = max(min(workers, len(sharing)), -(-len(sharing) // SHARED))
    units = [sharing[i::count] for i in range(count)]
    together = [pool.submit(compiles_together, unit) for unit in units]
    faults = {snippet: pool.submit(fault_of, snippet) for snippet in snippets if snippet.has_includes}
    for unit, compiles in zip(units, together):
        if not compiles.result():
            faults.update({snippet: pool.submit(fault_of, snippet) for snippet in unit})
    for snippet in snippets:
        if snippet in faults and (fault := faults[snippet].result()):
            pool.shutdown(cancel_futures=True)
            sys.exit(fault)
    for page in pages:
        print(f"{sum(snippet.page == page for snippet in snippets)} snippets of {page} compile")
