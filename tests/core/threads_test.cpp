// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include <parade/core/threads.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace {

using parade::ThreadLimits;

constexpr double no_quota = std::numeric_limits<double>::infinity();

// The files below a temporary directory play those of a machine: a test names each by the path that it would have there.
class FakeMachine {
 public:
  void write(const std::string& path, const std::string& content) const {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream out{root_ / path};
    out << content << '\n';
    REQUIRE(out.flush());
  }
  void write_v1(const std::string& group, const std::string& quota, const std::string& period = "100000") const {
    write(group + "/cpu.cfs_quota_us", quota);
    write(group + "/cpu.cfs_period_us", period);
  }
  std::string read(const std::string& path) const { return parade::detail::read_or_empty(root_ / path); }
  void make_directory(const std::string& path) const { std::filesystem::create_directories(root_ / path); }
  double quota(const std::string& proc_self_cgroup, const std::string& mountinfo) const {
    return parade::detail::cgroup_cpu_quota(proc_self_cgroup, mountinfo, root_);
  }

 private:
  TemporaryFolder folder_;
  const std::filesystem::path& root_ = folder_.path;
};

// Lines of mountinfo. Fields before the dash may be many or none.
std::string v2_mount(const std::string& mount_root, const std::string& mount_point) {
  return "35 24 0:30 " + mount_root + ' ' + mount_point + " rw,nosuid shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate\n";
}
std::string v1_mount(const std::string& mount_root, const std::string& mount_point, const std::string& controllers) {
  return "36 24 0:31 " + mount_root + ' ' + mount_point + " rw,nosuid - cgroup cgroup rw," + controllers + '\n';
}
const std::string other_mounts =
    "24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "25 24 0:22 / /proc rw - proc proc rw\n";

}  // namespace

TEST_CASE("a version 2 quota is the first number over the second, and need not be whole") {
  const FakeMachine machine;
  const std::string mounts = other_mounts + v2_mount("/", "/sys/fs/cgroup");
  machine.write("sys/fs/cgroup/job/cpu.max", "250000 100000");
  CHECK(machine.quota("0::/job\n", mounts) == 2.5);
  machine.write("sys/fs/cgroup/job/cpu.max", "5000 50000");
  CHECK(machine.quota("0::/job\n", mounts) == 0.1);
  CHECK(machine.quota("0::/job", mounts) == 0.1);  // no newline at the end
}

TEST_CASE("a version 1 quota is cfs_quota over cfs_period in the hierarchy that has the controller cpu") {
  const FakeMachine machine;
  const std::string groups = "9:cpuset:/other\n4:cpu,cpuacct:/job\n1:name=systemd:/init\n";
  const std::string mounts = other_mounts + v1_mount("/", "/sys/fs/cgroup/cpuset", "cpuset") +
                             v1_mount("/", "/sys/fs/cgroup/cpu,cpuacct", "cpuacct,cpu") +
                             v1_mount("/", "/sys/fs/cgroup/systemd", "name=systemd");
  machine.write_v1("sys/fs/cgroup/cpu,cpuacct/job", "300000");
  machine.write_v1("sys/fs/cgroup/cpuset/other", "100000");       // controllers whose names only begin with cpu,
  machine.write_v1("sys/fs/cgroup/cpu,cpuacct/other", "100000");  // and their groups, do not count
  machine.write_v1("sys/fs/cgroup/cpuset/job", "100000");
  CHECK(machine.quota(groups, mounts) == 3.0);
  machine.write_v1("sys/fs/cgroup/cpu,cpuacct/job", "300000", "200000");
  CHECK(machine.quota(groups, mounts) == 1.5);
}

TEST_CASE("on a hybrid system the quota of either version counts and the least wins") {
  const FakeMachine machine;
  const std::string groups = "4:cpu:/job\n0::/job\n";
  const std::string mounts = v1_mount("/", "/sys/fs/cgroup/cpu", "cpu") + v2_mount("/", "/sys/fs/cgroup/unified");
  machine.make_directory("sys/fs/cgroup/unified/job");  // the usual hybrid: version 2 without its cpu controller
  machine.write_v1("sys/fs/cgroup/cpu/job", "200000");
  CHECK(machine.quota(groups, mounts) == 2.0);
  machine.write("sys/fs/cgroup/unified/job/cpu.max", "150000 100000");
  CHECK(machine.quota(groups, mounts) == 1.5);
  machine.write("sys/fs/cgroup/unified/job/cpu.max", "350000 100000");
  CHECK(machine.quota(groups, mounts) == 2.0);
}

TEST_CASE("the quota of every ancestor up to the mount counts, and of no other group") {
  const FakeMachine machine;
  const std::string mounts = v2_mount("/", "/sys/fs/cgroup");
  const std::string group = "0::/slice/user/job\n";
  machine.write("sys/fs/cgroup/slice/user/job/cpu.max", "800000 100000");
  machine.write("sys/fs/cgroup/slice/user/job/child/cpu.max", "10000 100000");
  machine.write("sys/fs/cgroup/slice/user/sibling/cpu.max", "10000 100000");
  machine.write("sys/fs/cpu.max", "10000 100000");  // above the mount
  CHECK(machine.quota(group, mounts) == 8.0);
  machine.write("sys/fs/cgroup/slice/user/cpu.max", "max 100000");
  CHECK(machine.quota(group, mounts) == 8.0);
  machine.write("sys/fs/cgroup/slice/cpu.max", "600000 100000");
  CHECK(machine.quota(group, mounts) == 6.0);
  machine.write("sys/fs/cgroup/cpu.max", "400000 100000");
  CHECK(machine.quota(group, mounts) == 4.0);
  CHECK(machine.quota("0::/slice/user/job/gone (deleted)\n", mounts) == 4.0);
  CHECK(machine.quota("0::/\n", mounts) == 4.0);

  machine.write_v1("v1/slice", "200000");
  machine.write_v1("v1/slice/job", "700000");
  CHECK(machine.quota("4:cpu:/slice/job\n", v1_mount("/", "/v1", "cpu")) == 2.0);
}

TEST_CASE("max, -1 and 0 are no quota") {
  const FakeMachine machine;
  const std::string mounts = v2_mount("/", "/v2") + v1_mount("/", "/v1", "cpu");
  machine.write("v2/job/cpu.max", "max 100000");
  CHECK(machine.quota("0::/job\n", mounts) == no_quota);
  for (const char* none : {"-1", "0"}) {
    machine.write_v1("v1/job", none);
    CHECK(machine.quota("4:cpu:/job\n", mounts) == no_quota);
  }
}

TEST_CASE("files that are missing or make no sense are no quota, and no exception") {
  const FakeMachine machine;
  const std::string group = "0::/job\n", mounts = v2_mount("/", "/v2");
  CHECK(machine.quota(group, mounts) == no_quota);
  for (const char* content : {"", "x", "100000", "100000 x", "100000 0", "100000 -100000", "-100000 100000", "1e5 100000", "max max",
                              "nan 1", "99999999999999999999 100000", "100000 99999999999999999999", "100000us 100000us", "\xff\xfe\x01"}) {
    CAPTURE(content);
    machine.write("v2/job/cpu.max", content);
    CHECK(machine.quota(group, mounts) == no_quota);
  }
  machine.make_directory("v2/folder/cpu.max");
  CHECK(machine.quota("0::/folder\n", mounts) == no_quota);
  machine.write("v1/job/cpu.cfs_quota_us", "100000");  // without its period
  CHECK(machine.quota("4:cpu:/job\n", v1_mount("/", "/v1", "cpu")) == no_quota);

  machine.write("v2/job/cpu.max", "100000 100000");
  CHECK(machine.quota(group, mounts) == 1.0);  // so that the cases below fail for the reason they should
  machine.write_v1("v1", "100000");
  for (const char* groups : {"", "\n\n", ":", "::", "0", "0:", "no colons at all", "4:cpu", "1::/job", "5:cpuset:/job"}) {
    CAPTURE(groups);
    CHECK(machine.quota(groups, mounts + v1_mount("/", "/v1", "cpu")) == no_quota);
  }
  for (const char* line : {"", "\n", "-", " - ", "35 24 0:30 / /v2 rw", "35 24 0:30 / /v2 rw -", "35 24 0:30 / /v2 rw - cgroup2",
                           "35 24 0:30 / /v2 rw - cgroup cgroup rw,cpu", "35 24 0:30 / /v2 rw cgroup2 cgroup2 rw", "\\\\0 \\04 \\999"}) {
    CAPTURE(line);
    CHECK(machine.quota(group, line) == no_quota);
    CHECK(machine.quota(group, line + ('\n' + mounts)) == 1.0);  // a line that makes no sense hides no other
  }
}

TEST_CASE("in a container the group is looked up below the root of the mount") {
  const FakeMachine machine;
  machine.write("sys/fs/cgroup/cpu.max", "600000 100000");
  machine.write("sys/fs/cgroup/sub/cpu.max", "300000 100000");
  machine.write("sys/fs/cgroup/docker/c1/cpu.max", "100000 100000");  // must not be reached: the mount does not begin at "/"
  const std::string mounts = v2_mount("/docker/c1", "/sys/fs/cgroup");
  CHECK(machine.quota("0::/docker/c1\n", mounts) == 6.0);
  CHECK(machine.quota("0::/docker/c1/sub\n", mounts) == 3.0);
  machine.write("sys/fs/cgroup/2/cpu.max", "100000 100000");
  CHECK(machine.quota("0::/docker/c12\n", mounts) == 6.0);  // another container whose name begins the same

  machine.write_v1("v1", "500000");
  machine.write_v1("v1/sub", "200000");
  CHECK(machine.quota("4:cpu,cpuacct:/kubepods/pod1/c1/sub\n", v1_mount("/kubepods/pod1/c1", "/v1", "cpu,cpuacct")) == 2.0);
}

TEST_CASE("a group that the mount does not show falls back to the mount point") {
  const FakeMachine machine;
  machine.write("sys/fs/cgroup/cpu.max", "600000 100000");
  machine.write("sys/fs/cgroup/job/cpu.max", "300000 100000");
  machine.write("sys/fs/job/cpu.max", "100000 100000");
  const std::string at_root = v2_mount("/", "/sys/fs/cgroup");
  for (const char* group : {"0::/..\n", "0::/../job\n", "0::/../../job\n", "0::\n"}) {
    CAPTURE(group);
    CHECK(machine.quota(group, at_root) == 6.0);
  }
  CHECK(machine.quota("0::/job\n", v2_mount("/elsewhere", "/sys/fs/cgroup")) == 6.0);
  CHECK(machine.quota("0::/\n", v2_mount("/../..", "/sys/fs/cgroup")) == 6.0);
  machine.write("sys/fs/cgroup/..job/cpu.max", "400000 100000");
  CHECK(machine.quota("0::/..job\n", at_root) == 4.0);  // a name like any other

  // A mount that shows the group is believed, and one that shows somebody else's is not, in either order.
  machine.write("other/cpu.max", "100000 100000");
  const std::string foreign = v2_mount("/other", "/other");
  CHECK(machine.quota("0::/job\n", at_root + foreign) == 3.0);
  CHECK(machine.quota("0::/job\n", foreign + at_root) == 3.0);
}

TEST_CASE("a file is read whole, and one that cannot be read is empty") {
  const FakeMachine machine;
  machine.write("folder/file", "first line\n\nlast line");
  CHECK(machine.read("folder/file") == "first line\n\nlast line\n");
  CHECK(machine.read("folder").empty());
  CHECK(machine.read("folder/none").empty());
}

TEST_CASE("mount points with spaces and groups with colons and spaces are found") {
  const FakeMachine machine;
  machine.write("my cgroups\\v2/a:b c/cpu.max", "300000 100000");
  CHECK(machine.quota("0::/a:b c\n", v2_mount("/", "/my\\040cgroups\\134v2")) == 3.0);
  CHECK(parade::detail::unescape_octal("\\040\\011\\134\\303\\251") == " \t\\\xc3\xa9");
  for (const char* plain : {"", "\\", "a\\0", "a\\04", "\\9990", "\\04x", "\\x40"}) CHECK(parade::detail::unescape_octal(plain) == plain);
  machine.write("v2/sub/cpu.max", "200000 100000");
  CHECK(machine.quota("0::/a b/sub\n", v2_mount("/a\\040b", "/v2")) == 2.0);
}

TEST_CASE("the least limit wins, a quota is rounded down, and one thread always remains") {
  CHECK(ThreadLimits{8, 6, 7, 9.0}.available() == 6);
  CHECK(ThreadLimits{5, 6, 7, 9.0}.available() == 5);
  CHECK(ThreadLimits{8, 6, 3, 9.0}.available() == 3);
  CHECK(ThreadLimits{8, 6, 7, 2.5}.available() == 2);
  CHECK(ThreadLimits{8, 6, 7, 2.999}.available() == 2);
  CHECK(ThreadLimits{8, 6, 7, 0.1}.available() == 1);
  constexpr int most = std::numeric_limits<int>::max();
  CHECK(ThreadLimits{most, most, most, no_quota}.available() == most);
  CHECK(ThreadLimits{most, most, most, 1e300}.available() == most);
  CHECK(ThreadLimits{8, 0, 0, no_quota}.available() == 1);
}

TEST_CASE("the reason names the limit that decided") {
  CHECK(ThreadLimits{2, 4, 64, no_quota}.why() == "2 (CPU affinity)");
  CHECK(ThreadLimits{8, 4, 64, no_quota}.why() == "4 (OMP_NUM_THREADS or omp_set_num_threads)");
  CHECK(ThreadLimits{8, 6, 3, no_quota}.why() == "3 (OMP_THREAD_LIMIT)");
  CHECK(ThreadLimits{8, 6, 7, 2.5}.why() == "2 (cgroup quota of 2.5 CPUs)");
  CHECK(ThreadLimits{8, 6, 7, 0.5}.why() == "1 (cgroup quota of 0.5 CPUs)");
  CHECK(ThreadLimits{8, 6, 7, 1.0}.why() == "1 (cgroup quota of 1 CPU)");
  CHECK(ThreadLimits{4, 4, 4, 4.0}.why() == "4 (CPU affinity)");
  CHECK(ThreadLimits{8, 0, 0, 2.0}.why() == "1 (built without OpenMP)");
}

TEST_CASE("the limits of this process make sense") {
  const ThreadLimits limits = parade::thread_limits();
  CHECK(limits.affinity >= 1);
  CHECK(limits.cgroup_quota > 0);
  CHECK(parade::available_threads() == limits.available());
  CHECK(limits.available() >= 1);
  CHECK(limits.available() <= limits.affinity);
  CHECK((limits.openmp >= 1) == (PARADE_HAS_OPENMP == 1));
  CHECK((limits.openmp_limit >= 1) == (PARADE_HAS_OPENMP == 1));
  if (PARADE_HAS_OPENMP == 0) CHECK(limits.why() == "1 (built without OpenMP)");
}

#if defined(__linux__)
namespace {

// The CPUs of the calling thread, put back at the end of the scope. (Machines of up to 1024 CPUs are enough for a test.)
class SavedAffinity {
 public:
  SavedAffinity() { REQUIRE(sched_getaffinity(0, sizeof mask_, &mask_) == 0); }
  SavedAffinity(const SavedAffinity&) = delete;
  SavedAffinity& operator=(const SavedAffinity&) = delete;
  ~SavedAffinity() { sched_setaffinity(0, sizeof mask_, &mask_); }

  int count() const { return CPU_COUNT(&mask_); }
  std::size_t first() const {
    std::size_t cpu = 0;
    while (!CPU_ISSET(cpu, &mask_)) ++cpu;
    return cpu;
  }

  /// Leaves the calling thread the first `count` of its CPUs.
  void narrow_to(int count) const {
    cpu_set_t narrow;
    CPU_ZERO(&narrow);
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&narrow) < count; ++cpu)
      if (CPU_ISSET(cpu, &mask_)) CPU_SET(cpu, &narrow);
    REQUIRE(sched_setaffinity(0, sizeof narrow, &narrow) == 0);
  }

 private:
  cpu_set_t mask_;
};

}  // namespace

TEST_CASE("CPU affinity is read anew at each call") {
#if PARADE_HAS_OPENMP
  if (omp_get_proc_bind() != omp_proc_bind_false) {
    WARN("not tested: OMP_PROC_BIND or its like is set, so the affinity of a thread is not that of the process");
    return;
  }
#endif
  const int before = parade::thread_limits().affinity;
  {
    const SavedAffinity saved;
    if (saved.count() == 1) WARN("this process may run on one CPU only: narrowing its affinity shows nothing");
    for (int count = 1; count <= saved.count(); count *= 2) {
      saved.narrow_to(count);
      CHECK(parade::thread_limits().affinity == count);
      CHECK(parade::available_threads() <= count);
    }
  }
  CHECK(parade::thread_limits().affinity == before);
}
#endif

#if PARADE_HAS_OPENMP
TEST_CASE("omp_set_num_threads is respected") {
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 3, 7}) {
    omp_set_num_threads(threads);
    const ThreadLimits limits = parade::thread_limits();
    CHECK(std::min(limits.openmp, limits.openmp_limit) == std::min(threads, omp_get_thread_limit()));
    CHECK(limits.available() <= threads);
  }
  omp_set_num_threads(before);
  CHECK(parade::thread_limits().openmp == before);
}

TEST_CASE("asking inside a parallel region does no harm") {
  std::vector<int> answers(4, 0);
#pragma omp parallel for num_threads(4)
  for (std::size_t i = 0; i < answers.size(); ++i) answers[i] = parade::available_threads();
  for (const int answer : answers) CHECK(answer >= 1);
}

#if defined(__linux__)
// Run by the next test only, in a process of its own: OpenMP reads its environment when a program starts.
TEST_CASE("hidden: limits equal those that the environment expects", "[.][threads_child]") {
  const char *affinity = std::getenv("PARADE_TEST_AFFINITY"), *openmp = std::getenv("PARADE_TEST_OPENMP");
  REQUIRE((affinity && openmp));
  const ThreadLimits limits = parade::thread_limits();
  CHECK(parade::detail::text(limits.affinity) == affinity);
  CHECK(parade::detail::text(std::min(limits.openmp, limits.openmp_limit)) == openmp);
}

TEST_CASE("OMP_NUM_THREADS and OMP_THREAD_LIMIT count, and threads bound by OMP_PROC_BIND have the CPUs of all places") {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  std::string clean = "env";
  for (const char* name : {"OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"})
    clean += parade::detail::text(" -u ", name);
  const auto child_agrees = [&](const std::string& environment, int affinity, int openmp) {
    const auto command = parade::detail::text(clean, ' ', environment, " PARADE_TEST_AFFINITY=", affinity, " PARADE_TEST_OPENMP=", openmp,
                                              " '", self, "' '[threads_child]' >/dev/null");
    return std::system(command.c_str()) == 0;
  };
  const SavedAffinity saved;
  const int cpus = saved.count();
  CHECK_FALSE(child_agrees("OMP_PROC_BIND=false OMP_NUM_THREADS=3", cpus, 4));  // the child does compare
  CHECK(child_agrees("OMP_PROC_BIND=false OMP_NUM_THREADS=3", cpus, 3));
  CHECK(child_agrees("OMP_PROC_BIND=false OMP_NUM_THREADS=5 OMP_THREAD_LIMIT=2", cpus, 2));
  if (cpus == 1) WARN("this process may run on one CPU only: binding its threads shows nothing");
  CHECK(child_agrees("OMP_NUM_THREADS=2 OMP_PROC_BIND=true", cpus, 2));
  CHECK(child_agrees("OMP_NUM_THREADS=2 OMP_PROC_BIND=spread OMP_PLACES=threads", cpus, 2));
  const auto first_cpu_twice = parade::detail::text("{", saved.first(), "},{", saved.first(), "}");
  CHECK(child_agrees("OMP_NUM_THREADS=2 OMP_PROC_BIND=true OMP_PLACES='" + first_cpu_twice + "'", 1, 2));
}
#endif
#endif
