// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include <parade/data/table_data.hpp>

#include "support/catch.hpp"

namespace {

using Catch::Matchers::Message;
using parade::ColumnType;
using parade::DataError;
using parade::dense_data;
using parade::Encoding;
using parade::Index;
using parade::Matrix;
using parade::OptionError;
using parade::parse_csv;
using parade::sparse_rows;
using parade::Table;
using parade::TableOptions;
using Names = std::vector<std::string>;

Table people() {
  return parse_csv(
             "age,job,wage,town,happy\n"
             "41,cook,512.5,Bern,yes\n"
             "30,boss,0,,no\n"
             "25,cook,480,Aarau,yes\n")
      .table;
}

Names list(const parade::FeatureNames& names) { return {names.begin(), names.end()}; }

TableOptions with(void (*set)(TableOptions&)) {
  TableOptions options;
  set(options);
  return options;
}

}  // namespace

TEST_CASE("numbers stay what they are, and text becomes a feature for each level, in the order of the columns") {
  const auto options = with([](auto& o) { o.label = "happy"; });
  const auto [data, features, labels, dropped] = dense_data<double>(people(), options);
  CHECK(list(features) == Names{"age", "job=boss", "job=cook", "wage", "town=Aarau", "town=Bern"});
  CHECK(labels == Names{"no", "yes"});
  CHECK(dropped == 0);
  Matrix<double> x(6, 3);
  x << 41, 30, 25,  //
      0, 1, 0,      //
      1, 0, 1,      //
      512.5, 0, 480, 0, 0, 1, 1, 0, 0;
  CHECK(Matrix<double>{data.values()} == x);
  CHECK(data.label(0) == 1);
  CHECK(data.label(1) == 0);
  CHECK(data.num_targets() == 0);

  const auto sparse = sparse_rows<double>(people(), options);
  CHECK(sparse.features == features);
  CHECK(sparse.data.to_dense() == x);
  CHECK(sparse.data.nonzeros() == 10);
  CHECK(sparse.data.labels() == data.labels());
}

TEST_CASE("a target is a column of numbers, and columns are left out by name or number") {
  const auto [data, features, labels, dropped] = dense_data<float>(people(), with([](auto& o) {
                                                                     o.target = 2;
                                                                     o.leave_out = {"town", -1};
                                                                     o.encodings = {{"job", Encoding::leave_out}};
                                                                   }));
  CHECK(list(features) == Names{"age"});
  CHECK(labels.empty());
  CHECK(data.targets()(0, 2) == 480);
  CHECK_FALSE(data.has_labels());
}

TEST_CASE("labels that are whole numbers stay what they are") {
  const auto table = parse_csv("x,y\n1,-1\n2,7\n").table;
  const auto data = sparse_rows<float>(table, with([](auto& o) { o.label = -1; }));
  CHECK(data.data.label(0) == -1);
  CHECK(data.data.label(1) == 7);
  CHECK(data.labels.empty());
}

TEST_CASE("hashed columns share 2^bits features behind the others, by a hash of column and value") {
  const auto options = with([](auto& o) { o.label = "happy", o.text = Encoding::hashed, o.hash_bits = 3; });
  const auto [data, features, labels, dropped] = dense_data<double>(people(), options);
  CHECK(features.size() == 2 + 8);
  CHECK(features[2] == "hash_0");
  CHECK(features[9] == "hash_7");
  for (Index i = 0; i < 3; ++i) CHECK(data.values().col(i).tail(8).sum() == (i == 1 ? 1 : 2));
  CHECK(data.values()(2 + parade::detail::hashed_feature("job", "cook", 3), 0) >= 1);
  CHECK(data.values().col(0).head(2) == Eigen::Vector2d(41, 512.5));
  CHECK(sparse_rows<double>(people(), options).data.to_dense() == Matrix<double>{data.values()});

  // One feature for all: what falls on it is added.
  const auto one = with([](auto& o) { o.leave_out = {"happy"}, o.text = Encoding::hashed, o.hash_bits = 1; });
  const auto both = sparse_rows<double>(people(), one).data;
  CHECK(both.to_dense().col(0).tail(2).sum() == 2);
}

TEST_CASE("features are named where they are many, too, and without memory for the names") {
  const auto options = with([](auto& o) { o.label = "happy", o.text = Encoding::hashed, o.hash_bits = 28; });
  const auto [data, features, labels, dropped] = sparse_rows<float>(people(), options);
  constexpr Index hashed = Index{1} << 28;
  CHECK((features.size() == 2 + hashed && data.num_features() == 2 + hashed));
  CHECK(features[1] == "wage");
  CHECK(features[2] == "hash_0");
  CHECK(features[hashed + 1] == "hash_268435455");
  CHECK(*std::next(features.begin(), 3) == "hash_1");
  CHECK(data[0].indices.back() < 2 + hashed);

  CHECK(parade::FeatureNames{}.empty());
  CHECK(list(parade::FeatureNames{{"a", "b"}, 2}) == Names{"a", "b", "hash_0", "hash_1"});
}

TEST_CASE("the hash is FNV-1a of column=value, folded") {
  // FNV-1a (64 bits) of "a=b": computed step by step.
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : {'a', '=', 'b'}) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  CHECK(parade::detail::hashed_feature("a", "b", 18) == static_cast<Index>((hash ^ (hash >> 32)) % (1 << 18)));
}

TEST_CASE("missing numbers and labels are an error or drop the row, and a missing text sets no feature") {
  const auto table = parse_csv("x,c,y\n1,a,p\n,b,q\n3,,\n4,,q\n").table;
  const auto label = with([](auto& o) { o.label = "y"; });
  CHECK_THROWS_MATCHES(dense_data<float>(table, label), DataError,
                       Message("column 'x' must have a value in each row; it lacks 1, the first in row 1 (leave the column out, "
                               "set drop_missing, or for features keep_missing)"));
  CHECK_THROWS_MATCHES(dense_data<float>(table, with([](auto& o) { o.label = "y", o.leave_out = {"x"}; })), DataError,
                       Message("column 'y' must have a value in each row; it lacks 1, the first in row 2 (leave the column out, "
                               "set drop_missing, or for features keep_missing)"));
  const auto kept = dense_data<float>(table, with([](auto& o) { o.leave_out = {"y"}, o.keep_missing = true; }));
  CHECK(kept.dropped == 0);
  CHECK((std::isnan(kept.data.values()(0, 1)) && kept.data.values()(0, 3) == 4));
  const auto dropped = dense_data<float>(table, with([](auto& o) { o.label = "y", o.drop_missing = true; }));
  CHECK(dropped.dropped == 2);
  CHECK(list(dropped.features) == Names{"x", "c=a", "c=b"});
  Matrix<float> x(3, 2);
  x << 1, 4, 1, 0, 0, 0;
  CHECK(Matrix<float>{dropped.data.values()} == x);
}

TEST_CASE("a test set gets the levels of its training set, and others become missing") {
  const auto train = parse_csv("c,x\nb,1\nd,2\n").table, test = parse_csv("c,x\nd,1\na,2\nb,2\n").table;
  const auto as_train = with_levels_of(test, train);
  CHECK(as_train.columns[0].levels == Names{"b", "d"});
  CHECK(as_train.columns[0].missing == 1);
  Matrix<double> x(3, 3);
  x << 0, 0, 1, 1, 0, 0, 1, 2, 2;
  CHECK(Matrix<double>{dense_data<double>(as_train).data.values()} == x);
  auto train_twice = train;
  CHECK_THROWS_MATCHES(with_levels_of(parse_csv("c,x\n1,1\n").table, train), DataError,
                       Message("column 'c' must be of the type that it has in the reference, text; got integer"));
  CHECK_THROWS_MATCHES(with_levels_of(parse_csv("z\n1\n").table, train), DataError, Message("the table has no column 'z'; it has c, x"));
  Table wide{0, std::vector<parade::Column>(25)};  // an error does not list them all
  for (std::size_t c = 0; c < 25; ++c) wide.columns[c].name = std::to_string(c);
  const std::string first = "the table has no column 'z'; it has 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19";
  CHECK_THROWS_MATCHES(with_levels_of(parse_csv("z\n1\n").table, wide), DataError, Message(first + ", … and 5 more"));
  wide.columns.resize(20);
  CHECK_THROWS_MATCHES(with_levels_of(parse_csv("z\n1\n").table, wide), DataError, Message(first));
  train_twice.columns.push_back(train.columns[1]),
      train_twice.columns.back().name = "c";  // the first of a name counts, as in reference["c"]
  CHECK(with_levels_of(test, train_twice).columns[0].levels == Names{"b", "d"});
}

TEST_CASE("a column of a test set without any value is what it is in the training set") {
  const auto train = parse_csv("c,x,y\nb,1.5,1\nd,2,2\n").table;
  for (const char* text : {"c,x,y\n,,\nNA,,\n", "c,x,y\n"}) {
    CAPTURE(text);
    const auto test = parse_csv(text).table;
    REQUIRE(test.columns[0].type == ColumnType::real);
    const auto as_train = with_levels_of(test, train);
    CHECK(as_train.columns[0].type == ColumnType::text);
    CHECK(as_train.columns[0].levels == Names{"b", "d"});
    CHECK(as_train.columns[0].codes == parade::Vector<std::int32_t>::Constant(test.rows, -1));
    CHECK(as_train.columns[0].numbers.size() == 0);
    for (const auto& column : as_train.columns) CHECK(column.missing == test.rows);
    CHECK(as_train.columns[1].type == ColumnType::real);
    CHECK(as_train.columns[2].type == ColumnType::integer);
    const auto data = dense_data<double>(as_train, with([](auto& o) { o.leave_out = {"x", "y"}; }));
    CHECK(list(data.features) == Names{"c=b", "c=d"});
    CHECK(Matrix<double>{data.data.values()} == Matrix<double>::Zero(2, test.rows));
  }
  // The other way round: text without any value, where the training set has numbers.
  const auto text = with_levels_of(parse_csv("c\n\"\"\n",
                                             [] {
                                               parade::CsvOptions options;
                                               options.types = {{"c", ColumnType::text}};
                                               return options;
                                             }())
                                       .table,
                                   parse_csv("c\n1\n").table);
  CHECK(text.columns[0].type == ColumnType::integer);
  CHECK(text.columns[0].codes.size() == 0);
  CHECK((text.columns[0].numbers.size() == 1 && std::isnan(text.columns[0].numbers[0])));
}

TEST_CASE("many levels are found in the reference in the time that reading them takes") {
  std::string text = "c\n", turned = "c\n";
  constexpr int levels = 200'000;
  for (int i = 0; i < levels; ++i) (text += 'v') += std::to_string(i) + '\n', (turned += 'v') += std::to_string(levels - i) + '\n';
  const auto train = parse_csv(text).table, test = parse_csv(turned).table;
  const auto as_train = with_levels_of(test, train);
  CHECK(as_train.columns[0].missing == 1);
  CHECK((as_train.columns[0].levels == train.columns[0].levels));
  CHECK(as_train.columns[0].codes[1] == train.columns[0].codes[levels - 1]);
}

TEST_CASE("options that do not fit the table are refused") {
  const auto refuses = [](const TableOptions& options, const char* why) {
    CHECK_THROWS_MATCHES(dense_data<float>(people(), options), DataError, Message(why));
  };
  refuses(with([](auto& o) { o.label = "wages"; }), "the table has no column 'wages'; it has age, job, wage, town, happy");
  refuses(with([](auto& o) { o.label = 5; }), "the table has 5 columns; got column 5");
  refuses(with([](auto& o) { o.label = -6; }), "the table has 5 columns; got column -6");
  refuses(with([](auto& o) { o.label = "wage"; }), "label must be a column of text or whole numbers; 'wage' is real");
  refuses(with([](auto& o) { o.target = "job"; }), "target must be a column of numbers; 'job' is text");
  refuses(with([](auto& o) { o.leave_out = {0, 1, 2, 3, 4}; }), "the table must have at least 1 column that becomes features; got none");
  CHECK_THROWS_MATCHES(dense_data<float>(people(), with([](auto& o) { o.hash_bits = 32; })), OptionError,
                       Message("hash_bits must be in [1, 31]; got 32"));
  CHECK_THROWS_MATCHES(dense_data<float>(people(), with([](auto& o) {
                                           o.encodings = {{"age", Encoding::hashed}};
                                         })),
                       OptionError, Message("encodings must name columns of text; 'age' is integer (CsvOptions::types reads it as text)"));
  CHECK_THROWS_MATCHES(dense_data<float>(parse_csv("x,y\n1,5000000000\n").table, with([](auto& o) { o.label = "y"; })), DataError,
                       Message("labels must be whole numbers of 32 bits; got 5e+09 in row 0 of column 'y'"));
}
