// SPDX-License-Identifier: MIT
// Nothing: it only gives CMake a program part for which the headers of other libraries are precompiled.
