// SPDX-License-Identifier: MIT
// A program outside of parade. The first argument is the version that it must have been compiled with.
#include <iostream>
#include <string_view>

#include <parade/parade.hpp>

namespace {
int quiet(int unused) { return 0; }  // an error if parade's own warnings reached its users
}  // namespace

int main(int count, char** arguments) {
  const parade::Random random{1, parade::Purpose::user};
  const double number = random.uniform(0);
  std::cout << "parade " << PARADE_VERSION_STRING << " drew " << number << '\n';
  if (count != 2 || std::string_view{arguments[1]} != PARADE_VERSION_STRING) return 1;
  if (!(number >= 0 && number < 1)) return 2;
  return quiet(0);
}
