// SPDX-License-Identifier: MIT
// Any bytes as a CSV file, plain, packed or damaged, that becomes a cache chunk by chunk: the cache, the report and the error of the same table in memory.
// See fuzz.hpp.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <parade/data/cache.hpp>
#include <parade/data/make_cache.hpp>
#include <parade/data/table_data.hpp>
#include <parade/io/csv.hpp>
#include <parade/io/csv_stream.hpp>

#include "fuzz.hpp"

namespace {

using parade::Index;

template <class D>
void check(const std::filesystem::path& file, const parade::CsvOptions& read, const parade::TableOptions& use, std::size_t chunk,
           const parade::Table* like) {
  using Scalar = typename D::Value;
  const auto made = file.parent_path() / "made", written = file.parent_path() / "written";
  parade::CsvData csv;
  std::optional<parade::TableData<D>> data;
  parade::CacheOptions cache{.rows_per_block = static_cast<Index>(chunk % 3)};
  const auto expected = fuzz::error_of([&] {
    parade::CsvOptions own_read = read;
    if (like)
      for (const auto& column : parade::read_csv_header(file, read).columns)
        for (const auto& other : like->columns)
          if (other.name == column.name && other.type == parade::ColumnType::text)
            own_read.types.try_emplace(column.name, parade::ColumnType::text);
    csv = parade::read_csv(file, own_read);
    if (like) {
      parade::Table reference = *like;
      const auto is_in = [](const parade::Table& table, const std::string& name) {
        return std::any_of(table.columns.begin(), table.columns.end(), [&](const auto& column) { return column.name == name; });
      };
      for (const auto& column : like->columns)
        if (!is_in(csv.table, column.name)) throw parade::DataError("lacks a column of the table that it is to be like");
      for (std::size_t c = 0; c < csv.table.columns.size(); ++c)
        if (const bool answer = (use.label && c == 0) || (use.target && c + 1 == csv.table.columns.size());
            answer && !is_in(reference, csv.table.columns[c].name))
          reference.columns.push_back(csv.table.columns[c]);
      csv.table = parade::with_levels_of(std::move(csv.table), reference);
    }
    if constexpr (parade::detail::is_sparse_rows<D>)
      data.emplace(parade::sparse_rows<Scalar>(csv.table, use));
    else
      data.emplace(parade::dense_data<Scalar>(csv.table, use));
    parade::CacheOptions own = cache;
    bool hashes = false;
    for (std::size_t c = use.label ? 1 : 0; c < csv.table.columns.size() - (use.target ? 1 : 0); ++c)
      hashes |= use.text == parade::Encoding::hashed && csv.table.columns[c].type == parade::ColumnType::text;
    if (!hashes) own.schema.features.assign(data->features.begin(), data->features.end());
    own.schema.classes = data->labels;
    parade::write_cache(written, data->data, own);
  });
  parade::CsvCacheReport report;
  const auto error = fuzz::error_of([&] {
    report = parade::detail::make_cache<D>(parade::CsvFile{file, read, use, like}, made, cache, {chunk, 1 + chunk / 2, 1 << 26});
  });
  fuzz::require(error.empty() == expected.empty(), "one is refused and the other is not");
  if (!error.empty()) {
    // Of several things that are wrong it may be another that is found first, but not of those that are wrong with the text.
    const bool is_of_like = error.find("the table that it is to be like") != std::string::npos;  // the names tell it
    fuzz::require(error == expected || is_of_like || !(fuzz::is_of_text(error) || fuzz::is_of_text(expected)), "errors differ");
    return;
  }
  fuzz::require(fuzz::bytes_of(made) == fuzz::bytes_of(written), "caches differ");
  fuzz::require(report.report.skipped == csv.report.skipped && report.report.messages == csv.report.messages &&
                    report.report.bytes == csv.report.bytes && report.table.rows == csv.table.rows && report.labels == data->labels &&
                    report.dropped == data->dropped,
                "reports differ");
  for (std::size_t c = 0; c < csv.table.columns.size(); ++c) {
    const auto &a = report.table.columns[c], &b = csv.table.columns[c];
    fuzz::require(a.name == b.name && a.type == b.type && a.missing == b.missing && a.why_text == b.why_text &&
                      (!a.knows_levels || a.type != parade::ColumnType::text || a.levels == b.levels),
                  "columns differ");
  }
}

}  // namespace

/// The first three bytes choose the options.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  parade::CsvOptions read;
  read.on_error = data[0] & 1 ? parade::OnError::skip : parade::OnError::stop;
  read.header = data[0] & 2;
  read.trim = data[0] & 4;
  if (data[0] & 8) read.separator = ";\t,|"[data[0] >> 6];
  if (data[0] & 16) read.missing = {"-", "x"};
  read.threads = 1;
  parade::TableOptions use;
  use.text = data[1] & 1 ? parade::Encoding::hashed : parade::Encoding::one_hot;
  use.hash_bits = 3;
  use.drop_missing = data[1] & 2;
  use.keep_missing = data[1] & 4;
  if (data[1] & 8) use.label = Index{0};
  if (data[1] & 16) use.target = Index{-1};
  const std::size_t chunk = 1 + data[2] % 64;
  std::optional<parade::Table> like;  // the first half of the same
  const std::string_view text{reinterpret_cast<const char*>(data) + 3, size - 3};
  if (data[0] & 32) fuzz::error_of([&] { like = parade::parse_csv(text.substr(0, text.size() / 2), read).table; });
  for (std::size_t c = use.label ? 1 : 0; like && use.text == parade::Encoding::hashed && c < like->columns.size(); ++c)
    like->columns[c].knows_levels = false;  // as the cache takes none of these
  static const std::filesystem::path file = fuzz::scratch_file();
  data[1] & 64 ? fuzz::write_packed(file, data + 3, size - 3) : fuzz::write(file, data + 3, size - 3);
  if (data[1] & 128 && data[1] & 64) fuzz::damage(file, data[2]);
  if (data[1] & 32)
    check<parade::DenseData<float>>(file, read, use, chunk, like ? &*like : nullptr);
  else
    check<parade::SparseRows<double>>(file, read, use, chunk, like ? &*like : nullptr);
  return 0;
}
