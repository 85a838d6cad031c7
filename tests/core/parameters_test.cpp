// SPDX-License-Identifier: MIT
#include <bit>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include <parade/core/hash.hpp>
#include <parade/core/parameters.hpp>

#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using parade::ConstVectorRef, parade::Index, parade::ParameterList, parade::Role, parade::Vector, parade::VectorRef;

TEST_CASE("parameter blocks lie one behind the other and are found by name") {
  ParameterList list{{"weight", 3, 2}, {"bias", 3, 1, Role::bias}};
  list.add({"scale"});
  list.add({"none", 0, 5});
  CHECK(list.size() == 10);
  CHECK(list["weight"].offset == 0);
  CHECK(list["bias"].offset == 6);
  CHECK(list["bias"].role == Role::bias);
  CHECK(list["weight"].role == Role::weight);
  CHECK(list["scale"].offset == 9);
  CHECK(list["scale"].size() == 1);
  CHECK(list["none"].size() == 0);
  CHECK(list.blocks().size() == 4);
  CHECK(list.contains("bias"));
  CHECK_FALSE(list.contains("Bias"));
  CHECK(ParameterList().size() == 0);
}

TEST_CASE("a parameter list refuses what it could not find again, and says why") {
  CHECK_THROWS_WITH((ParameterList{{"", 1, 1}}), ContainsSubstring("name"));
  CHECK_THROWS_WITH((ParameterList{{"a", 1, 1}, {"a", 2, 1}}), ContainsSubstring("'a' is used twice"));
  CHECK_THROWS_WITH((ParameterList{{"a", -1, 4}}), ContainsSubstring("'a'") && ContainsSubstring("(-1, 4)"));
  CHECK_THROWS_AS((ParameterList{{"a", 1, -4}}), std::invalid_argument);
  const ParameterList list{{"first", 1, 1}, {"second", 2, 1}};
  CHECK_THROWS_AS(list["third"], std::out_of_range);
  CHECK_THROWS_WITH(list["third"], ContainsSubstring("'third'") && ContainsSubstring("first, second"));
}

TEST_CASE("a slice is the block's part of theta as a matrix, column by column, without a copy") {
  const ParameterList list{{"a", 2, 1}, {"b", 2, 3}};
  Vector<float> theta(8);
  for (Index i = 0; i < 8; ++i) theta[i] = static_cast<float>(i);
  auto b = parade::slice<float>(VectorRef<float>(theta), list["b"]);
  CHECK(b.rows() == 2);
  CHECK(b.cols() == 3);
  CHECK(b(1, 0) == 3);
  CHECK(b(0, 1) == 4);
  b(0, 1) = -1;
  CHECK(theta[4] == -1);
  const auto read = parade::slice<float>(ConstVectorRef<float>(theta), list["b"]);
  CHECK(read.data() == theta.data() + 2);
  CHECK(read == b);
}

TEST_CASE("the hash is FNV-1a with 64 bits, of the bytes of theta") {
  const auto hash = [](std::string_view text) { return parade::hash_bytes(std::as_bytes(std::span(text.data(), text.size()))); };
  CHECK(hash("") == 0xcbf29ce484222325u);
  CHECK(hash("a") == 0xaf63dc4c8601ec8cu);
  CHECK(hash("foobar") == 0x85944171f73967e8u);
  Vector<double> theta(2);
  theta << 0.0, 1.0;
  const std::string bytes("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x3f", 16);  // on a little-endian machine
  if constexpr (std::endian::native == std::endian::little) CHECK(parade::theta_hash(theta) == hash(bytes));
  Vector<double> negative = theta;
  negative[0] = -0.0;
  CHECK(parade::theta_hash(negative) != parade::theta_hash(theta));  // bits, not values
}

TEST_CASE("a hash is printed as 16 hexadecimal digits") {
  CHECK(parade::hash_text(0) == "0000000000000000");
  CHECK(parade::hash_text(0x0123456789abcdef) == "0123456789abcdef");
  CHECK(parade::hash_text(~std::uint64_t{0}) == "ffffffffffffffff");
}
