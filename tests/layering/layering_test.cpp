// SPDX-License-Identifier: MIT
// Reads the #include lines of the library and knows which folder may include which:
//
//   parade.hpp → train → engine, data, metrics → concepts → core
//                prepare → engine, data → concepts → core
//                engine, leaves → kernels → core            leaves never include each other (but models → layers, data → io)
#include <filesystem>
#include <fstream>
#include <istream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace {

using Folders = std::set<std::string>;
using Graph = std::map<std::string, std::set<std::string>>;  // header → the parade headers that it includes

/// What a folder may include besides itself.
const std::map<std::string, Folders> allowed = [] {
  std::map<std::string, Folders> rules{
      {"core", {}},
      {"concepts", {"core"}},
      {"kernels", {"core"}},
      {"engine", {"concepts", "kernels", "core"}},
      {"train", {"engine", "data", "metrics", "concepts", "kernels", "core"}},
      {"prepare", {"engine", "data", "concepts", "kernels", "core"}},
      {"distributed", {"concepts", "core"}},
      {"testing", {"engine", "concepts", "core"}},
  };
  for (const auto* leaf :
       {"data", "models", "layers", "losses", "regularizers", "constraints", "optimizers", "schedules", "metrics", "callbacks", "io"})
    rules[leaf] = {"concepts", "kernels", "core"};
  rules["models"].insert("layers");
  rules["data"].insert("io");
  return rules;
}();

/// "engine" for "engine/reduce.hpp"; empty for parade.hpp.
std::string folder_of(const std::string& header) { return header.substr(0, header.find('/') == std::string::npos ? 0 : header.find('/')); }

/// Why `header` may not include `<target>`; empty if it may. Both are as they stand in an #include, without "parade/".
std::string objection_inside(const std::string& header, const std::string& target) {
  if (target == "distributed/mpi.hpp") return "is for those who ask for it: nothing includes it";
  const std::string from = folder_of(header), to = folder_of(target);
  if (from.empty() || from == to) return {};
  if (from == "io" && target == "data/sparse_rows.hpp") return {};  // the container that LIBSVM files are read into
  const auto rule = allowed.find(from);
  if (rule == allowed.end()) return "from a folder that the picture does not have";
  return rule->second.contains(to) ? std::string{} : "which " + from + " may not";
}

/// The same for a header of another library or of the system.
std::string objection_outside(const std::string& header, const std::string& target) {
  static const std::regex standard{"[a-z_0-9]+"}, eigen{"Eigen/.*"};
  static const Folders system{"fcntl.h",     "unistd.h",   "sched.h",       "pthread.h",    "dirent.h",   "immintrin.h",
                              "xmmintrin.h", "arm_neon.h", "arm_acle.h",    "sys/ioctl.h",  "sys/mman.h", "sys/stat.h",
                              "sys/types.h", "sys/wait.h", "sys/syscall.h", "linux/futex.h"};
  const std::string folder = folder_of(header);
  if (std::regex_match(target, standard) || system.contains(target)) return {};
  if (std::regex_match(target, eigen)) return folder == "core" && target != "Eigen/Core" ? "core knows Eigen/Core only" : "";
  if (target == "omp.h") return folder == "core" || folder == "engine" ? "" : "OpenMP is for core and engine";
  if (target == "zlib.h") return folder == "io" || folder == "data" ? "" : "zlib is for io and data";
  if (target == "mpi.h") return header == "distributed/mpi.hpp" ? "" : "MPI is for distributed/mpi.hpp";
  return "parade knows no such library";
}

/// Reads one header: notes what it includes in `graph` and returns what is wrong, as "engine/x.hpp:12 includes <…>, …".
std::vector<std::string> violations(const std::string& header, std::istream& text, Graph& graph) {
  static const std::regex include{R"(\s*#\s*include\s*([<"])([^>"]+)[>"].*)"};
  std::vector<std::string> found;
  std::string line;
  graph[header];
  for (int number = 1; std::getline(text, line); ++number) {
    std::smatch match;
    if (!std::regex_match(line, match, include)) continue;
    const std::string target = match[2];
    const bool inside = target.starts_with("parade/");
    if (inside) graph[header].insert(target.substr(7));
    const std::string objection = match[1] == "\"" ? "in quotes instead of <parade/…>"
                                  : inside         ? objection_inside(header, target.substr(7))
                                                   : objection_outside(header, target);
    if (!objection.empty()) found.push_back(header + ":" + std::to_string(number) + " includes <" + target + ">, " + objection);
  }
  return found;
}

std::vector<std::string> violations(const std::string& header, const std::string& text) {
  std::istringstream stream{text};
  Graph graph;
  return violations(header, stream, graph);
}

Folders reachable(const Graph& graph, const std::string& from) {
  Folders seen{from};
  std::vector<std::string> open{from};
  while (!open.empty()) {
    const auto node = graph.find(open.back());
    open.pop_back();
    if (node == graph.end()) continue;
    for (const auto& next : node->second)
      if (seen.insert(next).second) open.push_back(next);
  }
  return seen;
}

}  // namespace

TEST_CASE("an include that the picture does not have is found") {
  const auto [header, target, objection] = GENERATE(table<std::string, std::string, std::string>({
      {"core/x.hpp", "<parade/concepts/model.hpp>", "core may not"},
      {"concepts/x.hpp", "<parade/engine/reduce.hpp>", "concepts may not"},
      {"kernels/x.hpp", "<parade/concepts/model.hpp>", "kernels may not"},
      {"losses/x.hpp", "<parade/models/linear.hpp>", "losses may not"},
      {"layers/x.hpp", "<parade/models/mlp.hpp>", "layers may not"},
      {"engine/x.hpp", "<parade/models/mlp.hpp>", "engine may not"},
      {"engine/x.hpp", "  <parade/train/trainer.hpp>  // why", "engine may not"},
      {"train/x.hpp", "<parade/optimizers/sgd.hpp>", "train may not"},
      {"callbacks/x.hpp", "<parade/train/trainer.hpp>", "callbacks may not"},
      {"prepare/x.hpp", "<parade/train/trainer.hpp>", "prepare may not"},
      {"data/x.hpp", "<parade/prepare/stage.hpp>", "data may not"},
      {"io/x.hpp", "<parade/prepare/pipeline.hpp>", "io may not"},
      {"losses/x.hpp", "<parade/parade.hpp>", "losses may not"},
      {"utils/x.hpp", "<parade/core/types.hpp>", "the picture does not have"},
      {"parade.hpp", "<parade/distributed/mpi.hpp>", "nothing includes it"},
      {"core/x.hpp", "<Eigen/Dense>", "Eigen/Core only"},
      {"losses/x.hpp", "<omp.h>", "OpenMP is for"},
      {"models/x.hpp", "<zlib.h>", "zlib is for"},
      {"distributed/x.hpp", "<mpi.h>", "MPI is for"},
      {"io/x.hpp", "<nlohmann/json.hpp>", "no such library"},
      {"core/x.hpp", "\"types.hpp\"", "in quotes"},
  }));
  const auto found = violations(header, "#pragma once\n #  include " + target + "\n");
  REQUIRE(found.size() == 1);
  CHECK_THAT(found[0], Catch::Matchers::ContainsSubstring(header + ":2 includes <") && Catch::Matchers::ContainsSubstring(objection));
}

TEST_CASE("an include that the picture has is not objected to") {
  const auto [header, target] = GENERATE(table<std::string, std::string>({
      {"parade.hpp", "parade/train/trainer.hpp"},
      {"train/x.hpp", "parade/engine/reduce.hpp"},
      {"models/x.hpp", "parade/layers/dense.hpp"},
      {"losses/x.hpp", "parade/losses/hinge.hpp"},
      {"losses/x.hpp", "parade/kernels/exp.hpp"},
      {"core/x.hpp", "Eigen/Core"},
      {"core/x.hpp", "omp.h"},
      {"core/x.hpp", "cstdint"},
      {"distributed/mpi.hpp", "mpi.h"},
  }));
  CHECK(violations(header, "#include <" + target + ">\n").empty());
}

TEST_CASE("the library includes as the picture says, and parade.hpp brings all of it but MPI") {
  const auto root = std::filesystem::path{PARADE_TESTS_DIR}.parent_path() / "include" / "parade";
  Graph graph;
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{root}) {
    if (!entry.is_regular_file() || entry.path().extension() != ".hpp") continue;
    std::ifstream text{entry.path()};
    const auto more = violations(entry.path().lexically_relative(root).generic_string(), text, graph);
    found.insert(found.end(), more.begin(), more.end());
  }
  REQUIRE(graph.contains("core/types.hpp"));
  REQUIRE(graph.contains("parade.hpp"));
  for (const auto& violation : found) FAIL_CHECK(violation);

  // Files take time to compile that programs without them should not pay for.
  const Folders by_name{"distributed/mpi.hpp", "io/libsvm.hpp",   "io/csv.hpp",         "io/npy.hpp",        "io/model_file.hpp",
                        "io/number.hpp",       "io/text.hpp",     "io/cache.hpp",       "io/csv_stream.hpp", "data/table_data.hpp",
                        "data/cache.hpp",      "data/cached.hpp", "data/make_cache.hpp"};
  const auto brought = reachable(graph, "parade.hpp");
  for (const auto& [header, includes] : graph)
    if (!brought.contains(header) && !by_name.contains(header)) FAIL_CHECK("parade.hpp does not bring " << header);
}
