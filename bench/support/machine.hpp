// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include <nlohmann/json.hpp>

#include <parade/core/threads.hpp>
#include <parade/core/version.hpp>
#include <parade/kernels/simd.hpp>

// What a figure was measured on, and what else went on there meanwhile. On a system without /proc and /sys much of it is "not known".
namespace bench {

using Json = nlohmann::ordered_json;

inline std::string first_line(const std::filesystem::path& file) {
  std::string line;
  std::getline(std::ifstream{file}, line);
  return line;
}

/// The CPUs that this process may run on; empty where the system does not say.
inline std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
#if defined(__linux__)
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(static_cast<std::size_t>(cpu), &mask)) cpus.push_back(cpu);
#endif
  return cpus;
}

/// "a, b, c".
inline std::string join(const std::vector<std::string>& texts, const char* separator = ", ") {
  std::string all;
  for (const auto& text : texts) (all += all.empty() ? "" : separator) += text;
  return all;
}

inline std::filesystem::path cpu_folder(int cpu) { return "/sys/devices/system/cpu/cpu" + std::to_string(cpu); }

/// "AMD EPYC (virtual machine)".
inline std::string processor() {
  std::string name = "not known";
  bool is_virtual = false;
  std::ifstream in{"/proc/cpuinfo"};
  for (std::string line; std::getline(in, line) && !line.empty();) {  // up to the empty line: the first CPU
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) name = line.substr(colon + 2);
    if (line.starts_with("flags") && line.find(" hypervisor") != std::string::npos) is_virtual = true;
  }
  return name + (is_virtual ? " (virtual machine)" : "");
}

/// One cache of a CPU: "L2", "1024K", and the CPUs that it serves, "0-1".
struct Cache {
  std::string level, size, cpus;
};

/// From the smallest to the largest.
inline std::vector<Cache> caches_of(int cpu) {
  std::vector<Cache> caches;
  for (int index = 0;; ++index) {
    const auto folder = cpu_folder(cpu) / "cache" / ("index" + std::to_string(index));
    const auto level = first_line(folder / "level"), type = first_line(folder / "type");
    if (level.empty()) return caches;
    caches.push_back({"L" + level +
                          (type == "Data"          ? "d"
                           : type == "Instruction" ? "i"
                                                   : ""),
                      first_line(folder / "size"), first_line(folder / "shared_cpu_list")});
  }
}

/// Whether the CPUs have a cache in common, as the kernel (in a virtual machine: the hypervisor) says: "one L3 (CPUs 0-1)".
inline std::string last_level_caches(const std::vector<int>& cpus) {
  std::map<std::string, int> served;  // how many of the CPUs each cache serves
  for (const int cpu : cpus)
    if (const auto caches = caches_of(cpu); !caches.empty()) ++served[caches.back().level + " (CPUs " + caches.back().cpus + ')'];
  if (served.empty()) return "not known";
  if (served.size() == 1) return "shared by all: " + served.begin()->first;
  std::vector<std::string> list;
  for (const auto& [cache, count] : served) list.push_back(cache + " for " + std::to_string(count));
  return "NOT shared by all: " + join(list);
}

inline std::string compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

/// The flags, where the build passes them on, and what the compiler says of itself.
inline std::string flags() {
  std::string flags;
#if defined(PARADE_BENCH_FLAGS)
  flags += PARADE_BENCH_FLAGS "; ";
#endif
#if defined(__OPTIMIZE__)
  flags += "optimised";
#else
  flags += "NOT OPTIMISED";
#endif
#if !defined(NDEBUG)
  flags += ", WITH ASSERTIONS";
#endif
#if PARADE_HAS_OPENMP
  flags += ", OpenMP " + std::to_string(_OPENMP);
#else
  flags += ", no OpenMP";
#endif
  return flags + ", kernels for " + parade::kernels::instruction_set();
}

/// Of the sources that this program was built from, "-dirty" where they had changes; asked now, so it may have moved on since the build.
inline std::string commit() {
  const auto root = std::filesystem::path(__FILE__).lexically_normal().parent_path().parent_path().parent_path();
  std::string text;
  if (std::error_code ignored; std::filesystem::exists(root / ".git", ignored)) {
    setenv("PARADE_BENCH_ROOT", root.c_str(), 1);  // no quoting to get wrong
    if (FILE* git = popen("git -C \"$PARADE_BENCH_ROOT\" describe --always --dirty --abbrev=12 2>/dev/null", "r")) {
      for (int c; (c = std::fgetc(git)) != EOF && c != '\n';) text += static_cast<char>(c);
      pclose(git);
    }
  }
  return text.empty() ? "not known" : text;
}

inline std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
  return text;
}

/// Takes from the environment what chooses threads and kernels: an OPENBLAS_CORETYPE, say, that was once set for another purpose holds back
/// all who use OpenBLAS. So everybody chooses as if nothing were set, and OpenMP threads that wait spin for a moment and then sleep. Libraries that
/// this program is linked with have read theirs already: see restart_without_environment. "taken away: OMP_PROC_BIND=true, …".
inline std::string clear_environment() {
  std::vector<std::string> taken;
  for (char** variable = environ; *variable; ++variable)
    for (const auto* prefix : {"OMP_", "GOMP_", "KMP_", "OPENBLAS_", "GOTO_", "MKL_", "DNNL_", "ONEDNN_", "ATEN_"})
      if (std::string_view{*variable}.starts_with(prefix)) taken.emplace_back(*variable);
  for (const auto& variable : taken) unsetenv(variable.substr(0, variable.find('=')).c_str());
  return taken.empty() ? "sets no threads and no kernels" : "taken away: " + join(taken);
}

/// Starts the program anew without what clear_environment takes away, and says then what that was.
inline std::string restart_without_environment(char** argv) {
  constexpr const char* report = "PARADE_BENCH_ENVIRONMENT";
  const std::string mark = std::to_string(getpid()) + ' ';  // stays the same, and tells what this program has said from what it was given
  const char* given = std::getenv(report);
  if (given && std::string_view{given}.starts_with(mark)) {
    const std::string taken = given + mark.size();
    unsetenv(report);
    return taken;
  }
  setenv(report, (mark + clear_environment()).c_str(), 1);
  execv("/proc/self/exe", argv);  // comes back only where that cannot be done
  return "could not be cleared";
}

inline Json describe_machine() {
  const auto cpus = allowed_cpus();
  std::set<std::pair<std::string, std::string>> cores;
  for (const int cpu : cpus) {
    const auto topology = cpu_folder(cpu) / "topology";
    cores.emplace(first_line(topology / "physical_package_id"), first_line(topology / "core_id"));
  }
  std::vector<std::string> caches;
  if (!cpus.empty())
    for (const auto& cache : caches_of(cpus.front())) caches.push_back(cache.level + ' ' + cache.size);
  return {
      {"processor", processor()},
      {"cpus", std::to_string(cpus.size()) + " on " + std::to_string(cores.size()) + " cores"},
      {"caches", caches.empty() ? "not known" : join(caches)},
      {"last_level", last_level_caches(cpus)},
      {"threads", parade::thread_limits().why()},
      {"compiler", compiler()},
      {"flags", flags()},
      {"eigen",
       std::to_string(EIGEN_WORLD_VERSION) + '.' + std::to_string(EIGEN_MAJOR_VERSION) + '.' + std::to_string(EIGEN_MINOR_VERSION)},
      {"parade", PARADE_VERSION_STRING},
      {"commit", commit()},
      {"date", utc_now()},
  };
}

/// What else went on while one of these lived: the CPU time of other processes, and what the hypervisor took ("steal"), as a share of the time
/// of all CPUs that this process may run on.
class MachineWatch {
 public:
  MachineWatch() : load_average_(first_line("/proc/loadavg")), begin_(now()) {}

  Json report() const {
    const auto end = now();
    const double wall = std::chrono::duration<double>(end.time - begin_.time).count();
    const double capacity = wall * static_cast<double>(cpus_.size());
    Json report{{"load_average_before", load_average_.substr(0, load_average_.find(' '))}, {"seconds", wall}};
    if (!end.known || capacity <= 0) return report;
    const double others = std::max(0.0, (end.busy - begin_.busy) - (end.own - begin_.own)) / capacity,
                 steal = (end.steal - begin_.steal) / capacity;
    report["others"] = others;
    report["steal"] = steal;
    report["idle"] = others < 0.02 && steal < 0.01;
    return report;
  }

 private:
  struct Reading {
    std::chrono::steady_clock::time_point time;
    bool known = false;
    double busy = 0, steal = 0;  // CPU seconds of the allowed CPUs
    double own = 0;              // CPU seconds of this process and of its children that have ended
  };

  Reading now() const {
    Reading reading{.time = std::chrono::steady_clock::now()};
    const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
    std::ifstream in{"/proc/stat"};
    for (std::string line; std::getline(in, line);) {  // cpu0 user nice system idle iowait irq softirq steal guest guest_nice
      std::istringstream fields{line};
      std::string name;
      double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0;
      if (!(fields >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal)) continue;
      if (std::none_of(cpus_.begin(), cpus_.end(), [&](int cpu) { return name == "cpu" + std::to_string(cpu); })) continue;
      reading.known = true;
      reading.busy += tick * (user + nice + system + irq + softirq);
      reading.steal += tick * steal;
    }
    for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
      rusage usage{};
      getrusage(who, &usage);
      for (const timeval& t : {usage.ru_utime, usage.ru_stime})
        reading.own += static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    }
    return reading;
  }

  std::vector<int> cpus_ = allowed_cpus();
  std::string load_average_;
  Reading begin_;
};

/// One line a fact.
inline void print_machine(const Json& machine) {
  for (const auto& [name, fact] : machine.items()) std::printf("%-12s%s\n", name.c_str(), fact.get<std::string>().c_str());
}

inline void print_watch(const Json& watch) {
  std::printf("machine     load average %s before", watch["load_average_before"].get<std::string>().c_str());
  if (watch.contains("idle"))
    std::printf("; meanwhile other processes took %.1f %% of the CPUs, the hypervisor %.1f %%: %s", 100 * watch["others"].get<double>(),
                100 * watch["steal"].get<double>(),
                watch["idle"].get<bool>() ? "idle but for this" : "NOT IDLE, figures for nobody to quote");
  std::printf("\n");
}

}  // namespace bench
