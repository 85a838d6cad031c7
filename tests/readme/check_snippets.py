#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles every C++ snippet of Markdown files: check_snippets.py FILE... -- COMPILER [FLAGS...]

A snippet that includes nothing gets <cmath>, parade.hpp and the readers of files, which are compiled once. Where it is no sequence of declarations it
is the body of a function.
"""
import os
import re
import subprocess
import sys
import tempfile

at = sys.argv.index("--")
pages, compile_command = sys.argv[1:at], sys.argv[at + 1:]
with tempfile.TemporaryDirectory() as folder:
    common = os.path.join(folder, "common.hpp")
    with open(common, "w", encoding="utf-8") as header:
        header.write("#include <cmath>\n#include <iostream>\n#include <parade/parade.hpp>\n")
        for name in ("data/cached", "data/make_cache", "data/table_data", "io/csv", "io/libsvm", "io/model_file", "io/npy"):
            header.write(f"#include <parade/{name}.hpp>\n")
    clang = "clang" in subprocess.run([compile_command[0], "--version"], capture_output=True, text=True).stdout
    compiled = common + (".pch" if clang else ".gch")
    if subprocess.run([*compile_command, "-x", "c++-header", common, "-o", compiled]).returncode != 0:
        sys.exit("parade.hpp does not compile")
    for page in pages:
        text = open(page, encoding="utf-8").read()
        snippets = re.findall(r"^```cpp\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        if not snippets and page == pages[0]:
            sys.exit(f"{page} holds no C++ snippet: nothing was checked")
        if blank := re.search(r"@[A-Z_]+@", text):
            sys.exit(f"{page} still holds {blank[0]}")
        for snippet in snippets:
            include = [] if "#include" in snippet else ["-include", common]
            errors = []
            for source in (snippet, "void snippet() {\n" + snippet + "}\n"):
                result = subprocess.run([*compile_command, *include, "-fsyntax-only", "-x", "c++", "-"], input=source, text=True,
                                        capture_output=True)
                errors.append(result.stderr)
                if result.returncode == 0:
                    break
            else:
                sys.exit(f"this snippet of {page} does not compile:\n{snippet}\nas declarations:\n{errors[0]}\nin a function:\n{errors[1]}")
        print(f"{len(snippets)} snippets of {page} compile")
