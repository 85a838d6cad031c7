// SPDX-License-Identifier: MIT
// The elementary functions on an array in the first-level cache: parade's vectors and the C library, element by element (Google Benchmark)
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <parade/core/random.hpp>
#include <parade/kernels/math.hpp>

#include "../support/machine.hpp"

namespace {

using namespace parade::kernels;
using parade::Index;

constexpr Index size = 2000;
bool all_right = true;

template <class Scalar>
std::vector<Scalar> arguments(double low, double high) {
  const parade::Random random{1, parade::Purpose::user};
  std::vector<Scalar> x;
  for (std::uint64_t i = 0; i < size; ++i) x.push_back(static_cast<Scalar>(random.uniform(i, low, high)));
  return x;
}

/// Registers `run` under `name`: y ← f(x) for arguments in [low, high), checked against `expected`.
template <class Scalar, class Run, class Expected>
void add_benchmark(const std::string& name, double low, double high, const Run& run, const Expected& expected) {
  benchmark::RegisterBenchmark((name + (sizeof(Scalar) == 4 ? "/float" : "/double")).c_str(), [=](benchmark::State& state) {
    const auto x = arguments<Scalar>(low, high);
    std::vector<Scalar> y(x.size());
    run(x.data(), y.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!(std::abs(y[i] - expected(x[i])) <= 8 * std::numeric_limits<Scalar>::epsilon() * std::abs(expected(x[i])))) {
        all_right = false;
        state.SkipWithError("the results are not those of the C library up to rounding");
        return;
      }
    }
    for (auto _ : state) {
      run(x.data(), y.data());
      benchmark::DoNotOptimize(y.data());
      benchmark::ClobberMemory();
    }
    const double elements = static_cast<double>(state.iterations()) * static_cast<double>(size);
    state.counters["elements"] = benchmark::Counter(elements, benchmark::Counter::kIsRate);
  });
}

/// The function on vectors and the same on the C library.
template <class Scalar, class F, class G>
void compare(const std::string& name, double low, double high, const F& vector, const G& scalar) {
  add_benchmark<Scalar>(
      name + "/parade", low, high, [=](const Scalar* x, Scalar* y) { transform(x, y, size, vector); }, scalar);
  const auto loop = [=](const Scalar* x, Scalar* y) {
    for (Index i = 0; i < size; ++i) y[i] = scalar(x[i]);
  };
  add_benchmark<Scalar>(name + "/std", low, high, loop, scalar);
}

template <class S>
void compare_all() {
  compare<S>(
      "exp", -10, 10, [](auto v) { return exp<S>(v); }, [](S x) { return std::exp(x); });
  compare<S>(
      "log", 0.01, 10, [](auto v) { return log<S>(v); }, [](S x) { return std::log(x); });
  compare<S>(
      "log1p", -0.9, 3, [](auto v) { return log1p<S>(v); }, [](S x) { return std::log1p(x); });
  const auto std_sigmoid = [](S x) {
    const S e = std::exp(-std::abs(x));
    return (x < 0 ? e : S{1}) / (1 + e);
  };
  compare<S>(
      "sigmoid", -10, 10, [](auto v) { return sigmoid<S>(v); }, std_sigmoid);
  compare<S>(
      "tanh", -3, 3, [](auto v) { return tanh<S>(v); }, [](S x) { return std::tanh(x); });
  compare<S>(
      "erf", -3, 3, [](auto v) { return erf<S>(v); }, [](S x) { return std::erf(x); });
  const auto std_softplus = [](S x) { return std::max(x, S{0}) + std::log1p(std::exp(-std::abs(x))); };
  compare<S>(
      "softplus", -10, 10, [](auto v) { return softplus<S>(v); }, std_softplus);
}

}  // namespace

int main(int argc, char** argv) try {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const bench::Json machine = bench::describe_machine();
  for (const auto& [key, fact] : machine.items()) benchmark::AddCustomContext(key, fact.template get<std::string>());
  compare_all<float>();
  compare_all<double>();
  benchmark::RunSpecifiedBenchmarks();
  return all_right ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "math: %s\n", error.what());
  return 1;
}
