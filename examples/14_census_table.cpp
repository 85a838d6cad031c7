// SPDX-License-Identifier: MIT
// A table with categories and missing values, to the features of a logistic regression: arguments [train.csv test.csv], files of UCI's Adult,
// else a made-up census.
#include <algorithm>
#include <cmath>
#include <exception>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <parade/data/table_data.hpp>
#include <parade/io/csv.hpp>
#include <parade/parade.hpp>

using namespace parade;

/// The text of a CSV file.
std::string made_up(int rows, std::uint64_t seed) {
  const Random random{seed, Purpose::user};
  std::uint64_t next = 0;
  const auto below = [&](std::uint64_t bound) { return random.below(next++, bound); };
  const std::string schools[] = {"none", "primary", "secondary", "university"}, jobs[] = {"cook", "driver", "nurse", "lawyer", "farmer"};
  std::string text = "age,education,job,hours,income\n";
  for (int i = 0; i < rows; ++i) {
    const std::uint64_t age = 18 + below(60), school = below(4), job = below(5), hours = 10 + below(50);
    const std::uint64_t score = 3 * school + (job == 3 ? 5 : job == 4 ? 0 : 2) + hours / 10 + (age > 30 ? 2 : 0) + below(5);
    const bool lacks_job = below(12) == 0, lacks_hours = below(15) == 0;
    text += std::to_string(age) + ',' + schools[school] + ',' + (lacks_job ? "?" : jobs[job]) + ',' +
            (lacks_hours ? "?" : std::to_string(hours)) + (score > 13 ? ",high\n" : ",low\n");
  }
  return text;
}

/// Adult's files have no names, and the labels of one end in a dot.
Table read_adult(const std::string& file) {
  const char* const names[] = {"age",          "workclass", "fnlwgt", "education",    "education-num", "marital-status", "occupation",
                               "relationship", "race",      "sex",    "capital-gain", "capital-loss",  "hours-per-week", "native-country",
                               "income"};
  CsvOptions options;
  options.header = false;
  Table table = read_csv(file, options).table;
  if (table.columns.size() != std::size(names)) throw std::runtime_error(file + " must have the 15 columns of UCI's Adult");
  for (std::size_t c = 0; c < std::size(names); ++c) table.columns[c].name = names[c];
  for (std::string& level : table.columns.back().levels)
    if (level.ends_with('.')) level.pop_back();
  return table;
}

/// Columns of numbers become what `prepare` makes of them, a matrix with a row for each.
void change_numbers(Table& table, const auto& prepare) {
  std::vector<Column*> columns;
  for (Column& column : table.columns)
    if (column.type != ColumnType::text) columns.push_back(&column);
  Matrix<double> x(static_cast<Index>(columns.size()), table.rows);  // NaN where a number is missing
  for (std::size_t c = 0; c < columns.size(); ++c) x.row(static_cast<Index>(c)) = columns[c]->numbers;
  x = prepare(x);
  for (std::size_t c = 0; c < columns.size(); ++c) columns[c]->numbers = x.row(static_cast<Index>(c));
}

int main(int argc, char** argv) try {
  Table train = argc > 2 ? read_adult(argv[1]) : parse_csv(made_up(1500, 1)).table;
  Table test = with_levels_of(argc > 2 ? read_adult(argv[2]) : parse_csv(made_up(500, 2)).table, train);
  std::cout << train.description() << '\n';

  Pipeline prepare{Standardize{}, Impute{.by = Fill::constant}};  // what is missing becomes 0, the mean by then
  change_numbers(train, [&](const Matrix<double>& x) { return prepare.fit(x).transform(x); });
  change_numbers(test, [&](const Matrix<double>& x) { return prepare.transform(x); });
  TableOptions use;
  use.label = "income";
  const auto [data, features, labels, dropped] = sparse_rows<float>(train, use);  // a feature for each level of a column of text
  const auto test_data = sparse_rows<float>(test, use).data;

  const double lambda = 1 / static_cast<double>(data.size());
  Trainer trainer{Linear<float>{data.num_features()}, Logistic{}, L2{.lambda = lambda}, Sgd{.rate = 0.3}, Cosine{}};
  trainer.fit(data, {.epochs = 20, .batch_size = 64, .seed = 1});
  const auto result = trainer.evaluate(test_data);
  std::cout << "class 0: " << labels[0] << ", class 1: " << labels[1] << '\n' << ConfusionMatrix{result} << '\n';
  std::cout << std::fixed << std::setprecision(4) << "accuracy " << result.accuracy << " on " << test_data.size()
            << " rows that it was not fitted to\n\n";

  const Matrix<float> weight = trainer.parameter("weight");  // (1,d)
  std::vector<Index> order(static_cast<std::size_t>(features.size()));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return std::abs(weight(0, a)) > std::abs(weight(0, b)); });
  std::cout << "feature                          weight\n" << std::setprecision(2);
  for (std::size_t i = 0; i < std::min<std::size_t>(12, order.size()); ++i)
    std::cout << std::left << std::setw(32) << features[order[i]] << std::right << std::setw(7) << weight(0, order[i]) << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
