// SPDX-License-Identifier: MIT
// Any bytes as a CSV file: FileError or a table that holds together, the same in pieces of every size. See fuzz.hpp.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <parade/data/table_data.hpp>
#include <parade/io/csv.hpp>

#include "fuzz.hpp"

namespace {

using parade::Index;

bool same(const parade::Table& a, const parade::Table& b) {
  if (a.rows != b.rows || a.columns.size() != b.columns.size()) return false;
  for (std::size_t c = 0; c < a.columns.size(); ++c) {
    const auto &x = a.columns[c], &y = b.columns[c];
    if (x.name != y.name || x.type != y.type || x.missing != y.missing || x.levels != y.levels || x.codes != y.codes ||
        !fuzz::same_bits(x.numbers, y.numbers))
      return false;
  }
  return true;
}

}  // namespace

/// The first two bytes choose the options.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  parade::CsvOptions options;
  options.on_error = data[0] & 1 ? parade::OnError::skip : parade::OnError::stop;
  options.header = data[0] & 2;
  options.trim = data[0] & 4;
  if (data[0] & 8) options.separator = ";\t,|"[data[0] >> 6];
  if (data[0] & 16) options.missing = {"-", "x"};
  options.threads = 1;
  const std::string_view text{reinterpret_cast<const char*>(data) + 2, size - 2};

  std::string error, error_in_pieces;
  const auto read = [&](std::size_t piece, std::string& why) -> parade::CsvData {
    const std::string name = "text";
    try {
      return parade::detail::CsvReader{std::string{text}, name, options, piece}.read();
    } catch (const parade::FileError& refused) {
      why = refused.what();
      return {};
    }
  };
  const auto whole = read(1 << 20, error), pieces = read(1 + data[1] % 64, error_in_pieces);
  fuzz::require(error == error_in_pieces, "errors differ");
  fuzz::require(same(whole.table, pieces.table) && whole.report.messages == pieces.report.messages &&
                    whole.table.description() == pieces.table.description(),
                "tables differ");
  if (!error.empty()) return 0;

  for (const auto encoding : {parade::Encoding::one_hot, parade::Encoding::hashed}) {
    parade::TableOptions use;
    use.text = encoding;
    use.hash_bits = 3;
    use.drop_missing = true;
    try {
      const auto sparse = parade::sparse_rows<double>(whole.table, use);
      const auto dense = parade::dense_data<double>(whole.table, use);
      fuzz::require(sparse.data.to_dense() == parade::Matrix<double>{dense.data.values()}, "sparse and dense differ");
    } catch (const parade::DataError&) {  // no features
    }
  }

  // Text that the options below take for missing does not come back.
  for (const auto& column : whole.table.columns) {
    if (column.type != parade::ColumnType::text || options.missing.size() != 2) continue;
    return 0;
  }
  if (whole.table.columns.empty()) return 0;
  static const std::filesystem::path file = fuzz::scratch_file();
  parade::write_csv(file, whole.table);
  parade::CsvOptions again;
  again.separator = ',';
  again.threads = 1;
  for (const auto& column : whole.table.columns) again.types[column.name] = column.type;
  fuzz::require(same(parade::read_csv(file, again).table, whole.table), "what was written is not what is read");
  return 0;
}
