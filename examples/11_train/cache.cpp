// SPDX-License-Identifier: MIT
// `train cache`: a file of text becomes a cache, once, for any number of trainings.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <parade/data/make_cache.hpp>
#include <parade/io/csv_stream.hpp>

#include "../command_line.hpp"
#include "data.hpp"
#include "options.hpp"

namespace {

void check(const CacheRequest& r) {
  const bool csv = r.format == "csv";
  const auto only = [](bool given, bool makes_sense, const char* option, const char* with) {
    if (given && !makes_sense) refuse(std::string(option) + " is for --format " + with);
  };
  only(r.label.has_value(), csv, "--label", "csv; in a LIBSVM file the label comes first in each line");
  only(r.target.has_value(), csv, "--target", "csv; in a LIBSVM file the target comes first in each line: --real");
  only(!r.leave_out.empty(), csv, "--leave-out", "csv");
  only(r.no_header, csv, "--no-header", "csv");
  only(r.hash_bits > 0, csv, "--hash-bits",
       "csv; features of a LIBSVM file are hashed in training, which takes the file itself with --memory");
  only(r.like.has_value(), csv, "--like", "csv; features of a LIBSVM file are numbers, the same in all (--index-base)");
  only(r.index_base.has_value(), !csv, "--index-base", "libsvm");
  only(r.targets, !csv, "--real", "libsvm; of csv --target names the column");
  if (csv && r.label.has_value() == r.target.has_value()) refuse("--format csv needs --label or --target, and not both");
}

}  // namespace

int cache(const CacheRequest& r) {
  check(r);
  std::vector<NamedFile> inputs{{"--data", r.data}};
  if (r.like) inputs.push_back({"--like", *r.like});
  check_apart(inputs, {{"--output", r.output}});
  write("--output", r.output, {});
  Preparation p;
  p.format = r.format, p.on_labels = r.format == "csv" ? r.label.has_value() : !r.targets;
  p.header = !r.no_header, p.skip_malformed = r.skip_malformed, p.hash_bits = r.hash_bits;
  p.answer = r.label ? *r.label : r.target.value_or(""), p.leave_out = r.leave_out;
  const std::vector<std::string> labels = write_cache_of(r.data, p, r.output, r.threads, r.index_base, r.like);
  const parade::CacheFile made{r.output};
  const parade::CacheInfo& info = made.info();
  std::cout << "cache       " << r.output << ": " << info.samples << " rows, " << info.num_features << " features, " << info.nonzeros
            << " nonzeros, " << info.blocks << " blocks, " << info.bytes << " bytes";
  constexpr std::size_t most = 10;
  for (std::size_t c = 0; c < std::min(labels.size(), most); ++c) std::cout << (c == 0 ? "; labels " : " ") << labels[c];
  std::cout << (labels.size() > most ? " ...\n" : "\n");
  for (const std::string& note : p.notes) std::cerr << "warning: " << note << '\n';
  return 0;
}
