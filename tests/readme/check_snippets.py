#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles every C++ snippet of a Markdown file: check_snippets.py README.md COMPILER [FLAGS...]"""
import re
import subprocess
import sys

markdown, *compile_command = sys.argv[1:]
text = open(markdown, encoding="utf-8").read()
snippets = re.findall(r"^```cpp\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
if not snippets:
    sys.exit(f"{markdown} holds no C++ snippet: nothing was checked")
if blank := re.search(r"@[A-Z_]+@", text):
    sys.exit(f"{markdown} still holds {blank[0]}")
for snippet in snippets:
    source = snippet if "#include" in snippet else "#include <cmath>\n#include <parade/parade.hpp>\n" + snippet
    result = subprocess.run([*compile_command, "-fsyntax-only", "-x", "c++", "-"], input=source, text=True)
    if result.returncode != 0:
        sys.exit(f"this snippet of {markdown} does not compile:\n{snippet}")
print(f"{len(snippets)} snippets of {markdown} compile")
