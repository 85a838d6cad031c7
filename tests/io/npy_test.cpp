// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <parade/io/npy.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/temporary_folder.hpp"

namespace npy_test {

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;
using parade::DataError;
using parade::FileError;
using parade::Index;
using parade::Label;
using parade::Matrix;
using parade::NpzFile;
using parade::read_npy;
using parade::read_npy_vector;
using parade::Vector;
using parade::write_npy;
using parade::write_npz;
using parade::detail::text;

/// numpy.savez, NumPy 1.24.2: 530 bytes
const char* const savez_hex =
    "504b0304140000000000000021000bc0b076980000009800000005001400782e6e70790100100098000000000000009800000000000000934e554d50"
    "59010076007b276465736372273a20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028322c2033"
    "292c207d2020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20200a000000000000003f0000803f0000c03f0000004000002040504b03041400000000000000210067deff68900000009000000005001400792e6e"
    "70790100100090000000000000009000000000000000934e554d5059010076007b276465736372273a20273c6938272c2027666f727472616e5f6f72"
    "646572273a2046616c73652c20277368617065273a2028322c292c207d20202020202020202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020202020202020202020202020200a0300000000000000ffffffffffffffff504b010214031400000000000000"
    "21000bc0b0769800000098000000050000000000000000000000800100000000782e6e7079504b010214031400000000000000210067deff68900000"
    "00900000000500000000000000000000008001cf000000792e6e7079504b0506000000000200020066000000960100000000";
/// numpy.savez_compressed, NumPy 1.24.2: 395 bytes
const char* const savez_compressed_hex =
    "504b0304140000000800000021000bc0b076570000009800000005001400782e6e707901001000980000000000000057000000000000009bec17ea1b"
    "10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a463a0ac69a3a0ab5"
    "0a64032e0608b067606800e20340cce0c0c0a0e00000504b03041400000008000000210067deff684a0000009000000005001400792e6e7079010010"
    "0090000000000000004a000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9369a1aea3a09e965f54529498179f5f94920a1277"
    "4bcc294e058a17672416a402f91a463a9a3a0ab50a14002e660608f80f0500504b01021403140000000800000021000bc0b076570000009800000005"
    "0000000000000000000000800100000000782e6e7079504b010214031400000008000000210067deff684a0000009000000005000000000000000000"
    "000080018e000000792e6e7079504b05060000000002000200660000000f0100000000";
/// The same arrays with all sizes and places in fields of zip64: Python 3.11's zipfile, with ZIP64_LIMIT = 0; 654 and 519 bytes
const char* const zip64_hex =
    "504b03042d0000000000000021000bc0b076ffffffffffffffff05001400782e6e70790100100098000000000000009800000000000000934e554d50"
    "59010076007b276465736372273a20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c20277368617065273a2028322c2033"
    "292c207d2020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20200a000000000000003f0000803f0000c03f0000004000002040504b03042d00000000000000210067deff68ffffffffffffffff05001400792e6e"
    "70790100100090000000000000009000000000000000934e554d5059010076007b276465736372273a20273c6938272c2027666f727472616e5f6f72"
    "646572273a2046616c73652c20277368617065273a2028322c292c207d20202020202020202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020202020202020202020202020200a0300000000000000ffffffffffffffff504b01022d032d00000000000000"
    "21000bc0b076ffffffffffffffff050014000000000000000000800100000000782e6e70790100100098000000000000009800000000000000504b01"
    "022d032d00000000000000210067deff68ffffffffffffffff05001c0000000000000000008001ffffffff792e6e7079010018009000000000000000"
    "9000000000000000cf00000000000000504b06062c000000000000002d002d0000000000000000000200000000000000020000000000000096000000"
    "000000009601000000000000504b0607000000002c0200000000000001000000504b0506000000000200020096000000960100000000";
const char* const zip64_compressed_hex =
    "504b03042d0000000800000021000bc0b076ffffffffffffffff05001400782e6e707901001000980000000000000057000000000000009bec17ea1b"
    "10c9c850c650ad9e925a9c5ca46ea5a06e9366a2aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91a463a0ac69a3a0ab5"
    "0a64032e0608b067606800e20340cce0c0c0a0e00000504b03042d00000008000000210067deff68ffffffffffffffff05001400792e6e7079010010"
    "0090000000000000004a000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9369a1aea3a09e965f54529498179f5f94920a1277"
    "4bcc294e058a17672416a402f91a463a9a3a0ab50a14002e660608f80f0500504b01022d032d0000000800000021000bc0b076ffffffffffffffff05"
    "0014000000000000000000800100000000782e6e70790100100098000000000000005700000000000000504b01022d032d00000008000000210067de"
    "ff68ffffffffffffffff05001c0000000000000000008001ffffffff792e6e70790100180090000000000000004a000000000000008e000000000000"
    "00504b06062c000000000000002d002d0000000000000000000200000000000000020000000000000096000000000000000f01000000000000504b06"
    "0700000000a50100000000000001000000504b05060000000002000200960000000f0100000000";

std::string from_hex(std::string_view hex) {
  std::string bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(16 * digit(hex[i]) + digit(hex[i + 1]));
  return bytes;
}

std::string content(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// An NPY file with this dictionary and these values.
std::string npy(const std::string& dictionary, std::string_view data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) out += static_cast<char>((dictionary.size() >> (8 * i)) & 255);
  return (out += dictionary).append(data);
}
std::string npy(const std::string& type, const std::string& shape, std::string_view data, const std::string& order = "False") {
  return npy("{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n", data);
}

class Folder : public TemporaryFolder {
 public:
  fs::path write(std::string_view bytes, const std::string& name = "x.npy") const {
    std::ofstream out{path / name, std::ios::binary};
    out << bytes;
    REQUIRE(out.flush());
    return path / name;
  }
  void refuses(std::string_view bytes, const std::string& why) const {
    const auto file = write(bytes);
    CHECK_THROWS_MATCHES(read_npy<float>(file), FileError, Message(file.string() + ": " + why));
  }
};

template <class S>
Matrix<S> matrix(Index rows, const std::vector<double>& values) {
  Matrix<S> x(rows, rows == 0 ? 0 : static_cast<Index>(values.size()) / rows);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<S>(values[static_cast<std::size_t>(i)]);
  return x;
}

using namespace std::string_view_literals;

}  // namespace

TEST_CASE("an array with n rows of d values is a matrix of n columns") {
  const Folder folder;
  const auto floats = "\0\0\x80\x3F\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xA0\x40\0\0\xC0\x40"sv;  // 1 ... 6
  CHECK(read_npy<float>(folder.write(npy("<f4", "(2, 3)", floats))) == matrix<float>(3, {1, 2, 3, 4, 5, 6}));
  CHECK(read_npy<double>(folder.write(npy("<f4", "(2, 3)", floats))) == matrix<double>(3, {1, 2, 3, 4, 5, 6}));
  CHECK(read_npy<float>(folder.write(npy("<f4", "(2, 3)", floats, "True"))) == matrix<float>(3, {1, 3, 5, 2, 4, 6}));
  CHECK(read_npy<float>(folder.write(npy("<f4", "(6,)", floats))) == matrix<float>(1, {1, 2, 3, 4, 5, 6}));
  CHECK(read_npy<float>(folder.write(npy("<f4", "(6,)", floats, "True"))) == matrix<float>(1, {1, 2, 3, 4, 5, 6}));
  CHECK(read_npy<float>(folder.write(npy("<f4", "(1, 3, 2)", floats))) == matrix<float>(6, {1, 2, 3, 4, 5, 6}));
  CHECK(read_npy_vector<float>(folder.write(npy("<f4", "(6,)", floats)))[5] == 6);
  CHECK(read_npy_vector<float>(folder.write(npy("<f4", "(6, 1)", floats)))[5] == 6);
  const auto none = read_npy<float>(folder.write(npy("<f4", "(0, 3)", "")));
  CHECK((none.rows() == 3 && none.cols() == 0));
  const auto empty = read_npy<float>(folder.write(npy("<f8", "(3, 0)", "", "True")));
  CHECK((empty.rows() == 0 && empty.cols() == 3));
  CHECK_THROWS_MATCHES(
      read_npy_vector<float>(folder.write(npy("<f4", "(2, 3)", floats))), FileError,
      Message((folder.path / "x.npy").string() + ": byte 0: found an array of 2 rows of 3 values, expected one value a row"));
}

TEST_CASE("every type and both orders of bytes are read") {
  const Folder folder;
  const auto reads = [&](const std::string& type, std::string_view data, std::vector<double> values) {
    CAPTURE(type);
    const auto file = folder.write(npy(type, "(" + std::to_string(values.size()) + ",)", data));
    CHECK(read_npy<double>(file) == matrix<double>(1, values));
    if (type[1] != 'f') CHECK(read_npy<std::int64_t>(file) == matrix<std::int64_t>(1, values));
    if (type[1] == 'f')
      CHECK_THROWS_WITH(read_npy<std::int64_t>(file),
                        ContainsSubstring("found values of type '" + type.substr(1) + "', expected whole numbers"));
  };
  reads("|b1", "\0\1"sv, {0, 1});
  reads("|u1", "\x00\xFF"sv, {0, 255});
  reads("|i1", "\x01\xFF"sv, {1, -1});
  reads("<i1", "\x01\xFF"sv, {1, -1});
  reads("<u2", "\x01\x02\xFF\xFF"sv, {513, 65535});
  reads(">u2", "\x01\x02\xFF\xFF"sv, {258, 65535});
  reads("<i2", "\x01\x02\xFF\xFF"sv, {513, -1});
  reads(">i2", "\x01\x02\xFF\xFE"sv, {258, -2});
  reads("<u4", "\x01\0\0\x80"sv, {2147483649.0});
  reads(">u4", "\x80\0\0\x01"sv, {2147483649.0});
  reads("<i4", "\xFE\xFF\xFF\xFF"sv, {-2});
  reads(">i4", "\xFF\xFF\xFF\xFE"sv, {-2});
  reads("<u8", "\x01\0\0\0\0\0\x10\0"sv, {4503599627370497.0});
  reads("<i8", "\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF"sv, {-2});
  reads(">i8", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE"sv, {-2});
  reads(">f4", "\x3F\xC0\0\0"sv, {1.5});
  reads("<f8", "\0\0\0\0\0\0\xF8\x3F"sv, {1.5});
  reads(">f8", "\x3F\xF8\0\0\0\0\0\0"sv, {1.5});
}

TEST_CASE("integers that do not fit are refused at their byte") {
  const Folder folder;
  const auto file = folder.write(npy("<i8", "(2,)", "\x7F\0\0\0\0\0\0\0\x80\xFF\xFF\xFF\xFF\xFF\xFF\xFF"sv));
  CHECK(read_npy<std::int8_t>(file) == matrix<std::int8_t>(1, {127, -128}));
  CHECK_THROWS_MATCHES(read_npy<std::uint8_t>(file), FileError,
                       Message(text(file.string(), ": byte ", fs::file_size(file) - 8, ": found -128, expected a number in [0, 255]")));
  const auto large = folder.write(npy("<u8", "(1,)", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"sv));
  CHECK_THROWS_WITH(read_npy<Label>(large),
                    ContainsSubstring("found 18446744073709551615, expected a number in [-2147483648, 2147483647]"));
}

TEST_CASE("headers of versions 1 to 3, in any order and spelling that Python has, are read") {
  const Folder folder;
  const auto expected = matrix<float>(1, {7});
  for (const int version : {1, 2, 3})
    CHECK(read_npy<float>(folder.write(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }   \n", "\7", version))) == expected);
  for (const char* dictionary :
       {"{'shape': (1,), 'fortran_order': True, 'descr': '|u1'}", "{\"descr\":\"|u1\",\"fortran_order\":False,\"shape\":(1L,)}",
        " { 'descr' : '|u1' , 'fortran_order' : False , 'shape' : ( 1 , 1 ) , } ",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1)}"}) {
    CAPTURE(dictionary);
    CHECK(read_npy<float>(folder.write(npy(dictionary, "\7"))) == expected);
  }
}

TEST_CASE("malformed headers are refused with byte, what was found and what was expected") {
  const Folder folder;
  folder.refuses("", "byte 0: found the end of the file, expected an NPY header");
  folder.refuses("\x93NUMPZ\1\0\0\0"sv, "byte 0: found '\\x93NUMPZ', expected '\\x93NUMPY', the start of an NPY file");
  folder.refuses("\x93NUMPY\4\0\0\0"sv, "byte 6: found version 4.0, expected version 1.0, 2.0 or 3.0");
  folder.refuses("\x93NUMPY\1\0\x05"sv, "byte 9: found the end of the file, expected the length of the header");
  folder.refuses("\x93NUMPY\1\0\x05\0{"sv, "byte 11: found the end of the file, expected the rest of the header");
  folder.refuses("\x93NUMPY\2\0\xFF\xFF\xFF\xFF{"sv, "byte 8: found a header of 4294967295 bytes, expected at most 1048576");
  const auto header = [&](const std::string& dictionary, const std::string& why) { folder.refuses(npy(dictionary, "1234"), why); };
  header("", "byte 10: found the end of the header, expected '{'");
  header("{'descr': '<f4'", "byte 25: found the end of the header, expected ','");
  header("{'descr': '<f4'}", "byte 26: found the end of the header, expected 'fortran_order'");
  header("{'descr' '<f4'}", "byte 19: found ''', expected ':'");
  header("{'descr': '<f4", "byte 20: found a quote that does not end, expected a closing quote");
  header("{'descr': [('a', '<f4')]", "byte 20: found a type with fields, expected a type of numbers");
  for (const char* type : {"<f2", "<c8", "|S1", "<U4", "|O", "f4", "|f4", "", "<f44", "=f4"})
    header(text("{'descr': '", type, "', 'fortran_order': False, 'shape': (1,)}"),
           text("byte 20: found type '", type, "', expected '|b1', '|u1', '|i1', or '<' or '>' with u2, i2, u4, i4, u8, i8, f4 or f8"));
  header("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}", "byte 44: found '1', expected True or False");
  header("{'descr': '<f4', 'descr': '<f4'}", "byte 27: found 'descr', expected each of 'descr', 'fortran_order' and 'shape' once");
  header("{'descr': '<f4', 'fortran_order': False, 'shape': 1}", "byte 60: found '1', expected '('");
  header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "byte 61: found '-', expected the size of a dimension");
  header("{'descr': '<f4', 'fortran_order': False, 'shape': (1 1)}", "byte 63: found '1', expected ','");
  header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} 1", "byte 66: found '1', expected the end of the header");
  header("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", "byte 10: found 0 dimensions, expected 1 or more, and at most 32");
  header("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1, 1)}",
         "byte 10: found the shape (1, 1, 1) in Fortran order, expected C order, or 1 or 2 dimensions");
}

TEST_CASE("sizes that the file does not have are refused before memory is taken") {
  const Folder folder;
  const auto refuses = [&](const std::string& shape, const std::string& why) {
    const auto bytes = npy("<f4", shape, "12345678");
    folder.refuses(bytes, text("byte ", bytes.size() - 8, ": found 8 bytes of data, expected ", why));
  };
  refuses("(3,)", "12 ((3,) of 'f4')");
  refuses("(1,)", "4 ((1,) of 'f4')");
  refuses("(1000000000, 2000000)", "8000000000000000 ((1000000000, 2000000) of 'f4')");
  folder.refuses(npy("<f4", "(10000000000, 10000000000)", ""),
                 "byte 10: found the shape (10000000000, 10000000000), expected less than 2^63 bytes, zeros aside");
  folder.refuses(npy("<f4", "(0, 9000000000000000000)", ""),
                 "byte 10: found the shape (0, 9000000000000000000), expected less than 2^63 bytes, zeros aside");
  for (const char* shape : {"(0, 1099511627776, 1099511627776)", "(0, 2000000000000000000, 5)", "(1099511627776, 0, 1099511627776)"})
    folder.refuses(npy("<f4", shape, ""), text("byte 10: found the shape ", shape, ", expected less than 2^63 bytes, zeros aside"));
  CHECK(read_npy<float>(folder.write(npy("<f4", "(0, 1099511627776, 1048575)", ""))).rows() == Index{1099511627776} * 1048575);
  folder.refuses(npy("<f4", "(99999999999999999999,)", ""), "byte 61: found a size of 20 digits or more, expected one below 2^63");
#if PARADE_HAS_ZLIB
  for (const char* shape : {"(3,)", "(1000000000, 2000000)"}) {
    const std::string bytes = npy("<f4", shape, "12345678");
    parade::detail::write_file(folder.path / "x.npy.gz", {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    CHECK_THROWS_WITH(read_npy<float>(folder.path / "x.npy.gz"),
                      ContainsSubstring(text("byte ", bytes.size() - 8, ": found 8 bytes of data, expected ")));
  }
  const std::string more = npy("<f4", "(1,)", "12345678");
  parade::detail::write_file(folder.path / "x.npy.gz", {reinterpret_cast<const std::uint8_t*>(more.data()), more.size()});
  CHECK_THROWS_WITH(read_npy<float>(folder.path / "x.npy.gz"),
                    ContainsSubstring("found more than 4 bytes of data, expected 4 ((1,) of 'f4')"));
#endif
}

TEMPLATE_TEST_CASE("a matrix that was written is read again, to the last bit", "", float, double, std::uint8_t, std::int32_t,
                   std::int64_t) {
  const Folder folder;
  std::vector<std::string> names{"x.npy"};
  if (PARADE_HAS_ZLIB) names.push_back("x.npy.gz");
  for (const auto& name : names)
    for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 1}, {3, 5}, {0, 4}, {4, 0}, {784, 1000}}) {
      CAPTURE(name, rows, cols);
      const Matrix<TestType> x = (numbers::random_matrix<double>(rows, cols, 1, 0, 250)).template cast<TestType>();
      write_npy(folder.path / name, x);
      CHECK(numbers::same_bits(read_npy<TestType>(folder.path / name), x));
    }
  const Vector<TestType> y = numbers::random_matrix<double>(7, 1, 2, 0, 250).template cast<TestType>();
  write_npy(folder.path / "y.npy", y);
  CHECK(numbers::same_bits(read_npy_vector<TestType>(folder.path / "y.npy"), y));
  CHECK_THAT(content(folder.path / "y.npy"), ContainsSubstring("'fortran_order': False, 'shape': (7,), }"));
  CHECK(content(folder.path / "y.npy").find('\n') == 127);  // the data begins at a multiple of 64
}

TEST_CASE("NPZ files of NumPy are read") {
  const Folder folder;
  for (const char* hex : {savez_hex, zip64_hex, savez_compressed_hex, zip64_compressed_hex}) {
    if (!PARADE_HAS_ZLIB && (hex == savez_compressed_hex || hex == zip64_compressed_hex)) continue;
    const NpzFile file{folder.write(from_hex(hex), "x.npz")};
    CHECK(file.names() == std::vector<std::string>{"x", "y"});
    CHECK(file.read<float>("x") == matrix<float>(3, {0, 0.5, 1, 1.5, 2, 2.5}));
    CHECK(file.read_vector<Label>("y") == Vector<Label>{{3, -1}});
    CHECK_THROWS_MATCHES(file.read<float>("z"), DataError, Message((folder.path / "x.npz").string() + " has no array 'z'; it has x, y"));
    CHECK_THROWS_WITH(file.read_vector<float>("x"),
                      ContainsSubstring("x.npz, array x: byte 0: found an array of 2 rows of 3 values, expected one value a row"));
  }
}

TEST_CASE("an NPZ file that was written is read again") {
  const Folder folder;
  const auto file = folder.path / "x.npz";
  const auto x = numbers::random_matrix<float>(20, 30, 1);
  const Vector<Label> y = Vector<Label>::LinSpaced(30, 0, 29);
  write_npz(file, {{"x", x}, {"labels", y}});
  const NpzFile npz{file};
  CHECK(npz.names() == std::vector<std::string>{"x", "labels"});
  CHECK(numbers::same_bits(npz.read<float>("x"), x));
  CHECK(npz.read_vector<Label>("labels") == y);
  const auto first = content(file);
  write_npz(file, {{"x", x}, {"labels", y}});
  CHECK((content(file) == first));  // no time stands in it
  write_npz(file, {});
  CHECK(NpzFile{file}.names().empty());
  CHECK_THROWS_MATCHES(write_npz(file, {{"x", x}, {"x", y}}), DataError, Message("each array must have a name of its own; got 'x' twice"));
}

TEST_CASE("an NPZ file with the records of zip64 is written and read") {
  const Folder folder;
  const auto file = folder.path / "x.npz", plain = folder.path / "plain.npz";
  const auto x = numbers::random_matrix<float>(20, 30, 1);
  const Vector<Label> y = Vector<Label>::LinSpaced(30, 0, 29);
  const std::vector<std::pair<std::string, parade::detail::NpyView>> arrays{{"y", y}, {"x", x}, {"labels", y}};
  write_npz(plain, arrays);
  const auto is_zip64 = [](const std::string& bytes) { return bytes.find("PK\6\6") != std::string::npos; };
  CHECK(!is_zip64(content(plain)));
  // None; of the file alone; x and what stands behind it; everything.
  for (const std::uint64_t limit : {3500u, 2900u, 1000u, 0u}) {
    CAPTURE(limit);
    parade::detail::write_npz(file, arrays, limit);
    CHECK(is_zip64(content(file)) == (limit < 3500));
    CHECK((content(file) == content(plain)) == (limit == 3500));
    const NpzFile npz{file};
    CHECK(npz.names() == std::vector<std::string>{"y", "x", "labels"});
    CHECK(numbers::same_bits(npz.read<float>("x"), x));
    CHECK(npz.read_vector<Label>("y") == y);
    CHECK(npz.read_vector<Label>("labels") == y);
  }

  // Another byte in a record of zip64 is found, or changes nothing: versions, what Python leaves in the plain record too.
  parade::detail::write_npz(file, arrays, 1000);
  const std::string whole = content(file);
  int refused = 0, same = 0;
  for (std::size_t i = whole.find("PK\1\2"); i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 128);
    try {
      const NpzFile npz{bytes, "x"};
      const auto again = npz.read<float>("x");
      const auto labels = npz.read_vector<Label>("labels");
      CHECK(numbers::same_bits(again, x));
      CHECK(labels == y);
      ++same;
    } catch (const FileError&) {
      ++refused;
    } catch (const DataError&) {  // another name
      ++refused;
    }
  }
  CHECK(refused > same);
  for (std::size_t length = 0; length < whole.size(); length += 1 + (length < 2000) * 100)
    CHECK_THROWS_AS((NpzFile{std::string_view{whole}.substr(0, length), "x"}), FileError);
}

TEST_CASE("an array behind 4 GiB of an NPZ file is read") {
  const Folder folder;
  const auto file = folder.path / "x.npz";
  // A stored array of zeros that takes no room on the disk, and never is read; behind it what a small file has.
  constexpr std::uint64_t zeros = (std::uint64_t{5} << 30) - 64;
  const auto put = [](std::string& to, std::uint64_t number, int size) {
    for (int i = 0; i < size; ++i) to += static_cast<char>((number >> (8 * i)) & 255);
  };
  const auto x = numbers::random_matrix<double>(3, 4, 1);
  write_npz(file, {{"x", x}});
  const std::string small = content(file);
  const std::size_t entry_at = small.find("PK\1\2"), end_at = small.rfind("PK\5\6");
  std::string tail = small.substr(0, entry_at), directory, header;
  put(header, 0x04034B50, 4), put(header, 45, 2), header.append(20, '\0'), put(header, 9, 2), put(header, 0, 2);
  header += "zeros.npy";
  const std::uint64_t begin = header.size() + zeros;
  std::string entry = small.substr(entry_at, end_at - entry_at);
  entry.replace(30, 2, "\x0C\0"sv).replace(42, 4, "\xFF\xFF\xFF\xFF");
  put(entry, 1, 2), put(entry, 8, 2), put(entry, begin, 8);
  put(directory, 0x02014B50, 4), put(directory, 45, 2), put(directory, 45, 2), directory.append(12, '\0');
  put(directory, 0xFFFFFFFF, 4), put(directory, 0xFFFFFFFF, 4), put(directory, 9, 2), put(directory, 20, 2), directory.append(14, '\0');
  directory += header.substr(30);
  put(directory, 1, 2), put(directory, 16, 2), put(directory, zeros, 8), put(directory, zeros, 8);
  directory += entry;
  const std::uint64_t size = directory.size(), at = begin + tail.size();
  put(directory, 0x06064B50, 4), put(directory, 44, 8), put(directory, 45, 2), put(directory, 45, 2), put(directory, 0, 8);
  put(directory, 2, 8), put(directory, 2, 8), put(directory, size, 8), put(directory, at, 8);
  put(directory, 0x07064B50, 4), put(directory, 0, 4), put(directory, at + size, 8), put(directory, 1, 4);
  put(directory, 0x06054B50, 4), put(directory, 0, 4), put(directory, 2, 2), put(directory, 2, 2), put(directory, size, 4);
  put(directory, 0xFFFFFFFF, 4), put(directory, 0, 2);
  folder.write(header, "x.npz");
  fs::resize_file(file, begin);
  std::ofstream{file, std::ios::binary | std::ios::app} << tail << directory;
  const NpzFile npz{file};
  REQUIRE(npz.names() == std::vector<std::string>{"zeros", "x"});
  CHECK(numbers::same_bits(npz.read<double>("x"), x));
  parade::detail::NpzStream stream{npz.place("zeros")};
  CHECK(*stream.size() == zeros);
  std::vector<std::uint8_t> some(100, 1);
  CHECK(stream.read(some) == 100);
  CHECK(some == std::vector<std::uint8_t>(100));
}

TEST_CASE("an NPZ file that is cut off anywhere is refused") {
  const std::string whole = from_hex(GENERATE(savez_hex, zip64_hex));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    CHECK_THROWS_AS((NpzFile{std::string_view{whole}.substr(0, length), "x"}), FileError);
  }
}

TEST_CASE("an NPZ file with one byte changed is refused, or reads the same") {
  for (const char* hex : {savez_hex, zip64_hex, savez_compressed_hex, zip64_compressed_hex}) {
    if (!PARADE_HAS_ZLIB && (hex == savez_compressed_hex || hex == zip64_compressed_hex)) continue;
    const std::string whole = from_hex(hex);
    int refused = 0, same = 0;
    for (std::size_t i = 0; i < whole.size(); ++i)
      for (const int change : {1, 128}) {
        std::string bytes = whole;
        bytes[i] = static_cast<char>(bytes[i] ^ change);
        try {
          const NpzFile file{bytes, "x"};
          const auto x = file.read<float>("x");
          const auto y = file.read_vector<Label>("y");
          CHECK(x == matrix<float>(3, {0, 0.5, 1, 1.5, 2, 2.5}));
          CHECK(y == Vector<Label>{{3, -1}});
          ++same;
        } catch (const FileError&) {
          ++refused;
        } catch (const DataError&) {  // another name
          ++refused;
        }
      }
    CHECK(refused > same);
  }
}

TEST_CASE("kinds of zip files that are not read are refused by name") {
  const auto refuses = [](std::size_t at, std::string_view bytes, const std::string& why) {
    std::string file = from_hex(savez_hex);
    file.replace(at, bytes.size(), bytes);
    CAPTURE(at);
    CHECK_THROWS_WITH((NpzFile{file, "x"}), ContainsSubstring(why));
  };
  const std::string whole = from_hex(savez_hex);
  const std::size_t entry = whole.find("PK\1\2"), end = whole.rfind("PK\5\6");
  refuses(end + 16, "\xFF\xFF\xFF\xFF", "bytes from byte 4294967295 on, expected one that ends here");
  refuses(entry + 20, "\xFF\xFF\xFF\xFF", "found no zip64 field for 'x', expected one that has what its entry asks for");
  refuses(end + 4, "\1", "found one of several disks, expected a zip file in one piece");
  refuses(end + 10, "\3", "found one of several disks, expected a zip file in one piece");
  refuses(end + 12, "\1", "found a directory of 1 bytes from byte");
  refuses(entry + 8, "\1", "found 'x' encrypted, expected an array that is not");
  refuses(entry + 10, "\x0C", "found method 12 for 'x', expected method 0 (stored) or 8 (deflated)");
  refuses(entry + 27, "\x7F", "bytes for 'x', expected what");
  refuses(entry + 10, "\x08\0\0\0\0\0\0\0\0\0\x10\0\0\0\xF0\xFF\xFF\xFE"sv,
          "found 4278190064 bytes for 'x', expected what 16 bytes in the file can hold");
  refuses(entry + 45, "\x7F", "expected a place before the directory");
  const auto refuses_zip64 = [](std::size_t at, std::string_view bytes, const std::string& why) {
    std::string file = from_hex(zip64_hex);
    file.replace(at, bytes.size(), bytes);
    CAPTURE(at);
    CHECK_THROWS_WITH((NpzFile{file, "x"}), ContainsSubstring(why));
  };
  const std::string zip64 = from_hex(zip64_hex);
  const std::size_t entry64 = zip64.find("PK\1\2"), end64 = zip64.rfind("PK\6\6"), locator = zip64.rfind("PK\6\7");
  refuses_zip64(locator + 4, "\1", "found one of several disks");
  refuses_zip64(locator + 8, "\1\0\0"sv, "found no end of a zip64 directory, expected one");
  refuses_zip64(locator + 15, "\x7F", "found the end of the file, expected the end of a zip64 directory");
  refuses_zip64(end64 + 4, "\x2D",
                "found the end of a zip64 directory of 45 bytes and 12, expected one that ends at byte " + text(locator));
  refuses_zip64(end64 + 16, "\1", "found 1 at the end of a zip64 directory, expected the 0 that stands behind it");
  refuses_zip64(end64 + 39, "\x7F", "at the end of a zip64 directory, expected the 2 that stands behind it");
  refuses_zip64(end64 + 47, "\x7F", "found");
  refuses_zip64(end64 + 55, "\x7F", "found");
  refuses_zip64(entry64 + 46 + 5, "\2", "found no zip64 field for 'x'");
  refuses_zip64(entry64 + 46 + 5 + 2, "\x08", "found a zip64 field that is too short for 'x'");
  refuses_zip64(entry64 + 46 + 5 + 4 + 7, "\x7F", "bytes for 'x', expected what");
  CHECK_THROWS_WITH((NpzFile{"PK", "x"}),
                    ContainsSubstring("x: byte 2: found no directory at the end of the file, expected a whole zip file"));
}

}  // namespace npy_test
