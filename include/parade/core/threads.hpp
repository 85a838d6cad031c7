// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/error.hpp>

#if PARADE_HAS_OPENMP
#include <omp.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace parade {

/// How many threads this process may really use: the least of four limits. A thread more than that only waits for its turn, or makes the
/// kernel stop the whole process until the next period of its quota.
struct ThreadLimits {
  int affinity = 1;      // CPUs that the calling thread and so its workers may run on: taskset, numactl, batch systems, cpusets, OMP_PLACES
  int openmp = 0;        // OMP_NUM_THREADS or omp_set_num_threads(), else OpenMP's own choice; 0 when built without OpenMP
  int openmp_limit = 0;  // OMP_THREAD_LIMIT; 0 when built without OpenMP
  double cgroup_quota = std::numeric_limits<double>::infinity();  // CPU seconds per second (docker --cpus, Kubernetes); infinity when none

  /// T = max(1, ⌊min(affinity, openmp, openmp_limit, cgroup_quota)⌋).
  int available() const {
    const double least = std::min(cgroup_quota, static_cast<double>(std::min({affinity, openmp, openmp_limit})));
    return least >= 1 ? static_cast<int>(least) : 1;
  }

  /// The number and the limit that decided, for a summary: "2 (cgroup quota of 2.5 CPUs)". Of equal limits the first of the four is named.
  std::string why() const {
    const int threads = available();
    const auto because = [threads](const auto&... limit) { return detail::text(threads, " (", limit..., ")"); };
    if (openmp == 0) return because("built without OpenMP");
    if (affinity <= threads) return because("CPU affinity");
    if (openmp <= threads) return because("OMP_NUM_THREADS or omp_set_num_threads");
    if (openmp_limit <= threads) return because("OMP_THREAD_LIMIT");
    return because("cgroup quota of ", cgroup_quota, cgroup_quota == 1 ? " CPU" : " CPUs");
  }
};

namespace detail {

inline int affinity_cpus() {
#if PARADE_HAS_OPENMP
  // OpenMP that binds its threads (OMP_PROC_BIND, OMP_PLACES) has narrowed the calling thread to one place: count the CPUs of all places.
  std::set<int> cpus;
  for (int place = 0; omp_get_proc_bind() != omp_proc_bind_false && place < omp_get_num_places(); ++place) {
    std::vector<int> ids(static_cast<std::size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, ids.data());
    cpus.insert(ids.begin(), ids.end());
  }
  if (!cpus.empty()) return static_cast<int>(cpus.size());
#endif
#if defined(__linux__)
  // A cpu_set_t has room for 1024 CPUs. The kernel refuses a mask that is too short for the machine, so try longer ones.
  for (std::size_t length = 1; length <= 1024; length *= 2) {
    std::vector<cpu_set_t> mask(length);
    const std::size_t bytes = length * sizeof(cpu_set_t);
    if (sched_getaffinity(0, bytes, mask.data()) == 0) return CPU_COUNT_S(bytes, mask.data());
  }
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

/// All of a file, or "" if it cannot be read. (getline takes even a read that fails half-way; stream iterators would throw there.)
inline std::string read_or_empty(const std::filesystem::path& file) {
  std::string content;
  std::getline(std::ifstream{file}, content, '\0');
  return content;
}

/// "50000 100000", the µs of CPU time in each period and the µs of a period, is 0.5 CPUs. All else ("max", −1, 0, garbage) is no limit.
inline double parse_quota(const std::string& quota_and_period) {
  std::istringstream in{quota_and_period};
  long long quota = 0, period = 0;
  in >> quota >> period;
  return in && quota > 0 && period > 0 ? static_cast<double>(quota) / static_cast<double>(period) : std::numeric_limits<double>::infinity();
}

/// mountinfo writes space, tab, newline and backslash as three octal digits: "my\040disk" is "my disk".
inline std::string unescape_octal(const std::string& field) {
  const auto digit = [&](std::size_t i) { return i < field.size() && field[i] >= '0' && field[i] <= '7' ? field[i] - '0' : -1; };
  std::string plain;
  for (std::size_t i = 0; i < field.size(); ++i) {
    const bool escape = field[i] == '\\' && digit(i + 1) >= 0 && digit(i + 2) >= 0 && digit(i + 3) >= 0;
    plain += escape ? static_cast<char>(64 * digit(i + 1) + 8 * digit(i + 2) + digit(i + 3)) : field[i];
    if (escape) i += 3;
  }
  return plain;
}

/// Is "cpu" one of the names in "cpu,cpuacct"?
inline bool lists_cpu(const std::string& names) { return ("," + names + ",").find(",cpu,") != std::string::npos; }

/// Least quota of `group` and of its ancestors, in the mounts of one hierarchy: version 2, or the version 1 that has the controller cpu.
inline double least_quota(bool v2, const std::filesystem::path& group, const std::string& mountinfo, const std::filesystem::path& root) {
  std::optional<double> seen, unseen;
  std::istringstream mounts{mountinfo};
  for (std::string line; std::getline(mounts, line);) {  // 36 35 0:31 /mount/root /mount/point rw shared:9 - cgroup source rw,cpu,cpuacct
    std::istringstream fields{line};
    std::string skip, mount_root, mount_point, type, options;
    fields >> skip >> skip >> skip >> mount_root >> mount_point;
    while (fields >> skip && skip != "-") {
    }
    fields >> type >> skip >> options;
    if (!fields || type != (v2 ? "cgroup2" : "cgroup") || !(v2 || lists_cpu(options))) continue;

    // The mount shows the tree below mount_root. In a container the group may lie outside: what is left to look at is the mount point.
    const auto top = root / std::filesystem::path{unescape_octal(mount_point)}.relative_path();
    auto below = group.lexically_relative(unescape_octal(mount_root));
    const bool visible = !below.empty() && *below.begin() != "..";
    if (!visible) below.clear();
    auto& least = visible ? seen : unseen;
    for (;; below = below.parent_path()) {
      const auto file = [&](const char* name) { return read_or_empty(top / below / name); };
      const double quota = parse_quota(v2 ? file("cpu.max") : file("cpu.cfs_quota_us") + ' ' + file("cpu.cfs_period_us"));
      least = std::min(quota, least.value_or(quota));
      if (below.empty()) break;
    }
  }
  return seen ? *seen : unseen.value_or(std::numeric_limits<double>::infinity());
}

/// CPUs that the cgroups of a process grant it, from the texts of /proc/self/cgroup and /proc/self/mountinfo: the least of cpu.max (v2) and
/// cpu.cfs_quota_us / cpu.cfs_period_us (v1) over its group and all ancestors that it can see. Infinity when there is no quota, or when
/// files are missing or not understood; never an exception. `root` stands before every mount point, for tests.
inline double cgroup_cpu_quota(const std::string& proc_self_cgroup, const std::string& mountinfo, const std::filesystem::path& root = "/") {
  double least = std::numeric_limits<double>::infinity();
  std::istringstream groups{proc_self_cgroup};
  for (std::string line; std::getline(groups, line);) {  // 4:cpu,cpuacct:/group (v1) or 0::/group (v2)
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const bool v2 = line.starts_with("0::");
    if (v2 || lists_cpu(line.substr(first + 1, second - first - 1)))
      least = std::min(least, least_quota(v2, line.substr(second + 1), mountinfo, root));
  }
  return least;
}

}  // namespace detail

/// The limits as they are now: OpenMP and the kernel are asked at each call, since the answers may change while a program runs.
/// Starts no thread; a limit that cannot be read is no limit.
inline ThreadLimits thread_limits() {
  ThreadLimits limits;
  limits.affinity = detail::affinity_cpus();
#if PARADE_HAS_OPENMP
  limits.openmp = omp_get_max_threads();
  limits.openmp_limit = omp_get_thread_limit();
#endif
  limits.cgroup_quota = detail::cgroup_cpu_quota(detail::read_or_empty("/proc/self/cgroup"), detail::read_or_empty("/proc/self/mountinfo"));
  return limits;
}

/// The default number of threads, T = thread_limits().available().
inline int available_threads() { return thread_limits().available(); }

}  // namespace parade
