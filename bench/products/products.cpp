// SPDX-License-Identifier: MIT
// The products of dense layers on one thread, each alone: parade's, Eigen's and OpenBLAS's in one run, as parts of the measured peak
#if defined(__GNUC__) && !defined(__clang__)  // false alarms of GCC 12 about the AVX-512 intrinsics in Eigen
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <Eigen/Core>

#ifdef PARADE_BENCH_OPENBLAS
#include <cblas.h>
#endif

#include <parade/core/random.hpp>
#include <parade/kernels/product.hpp>

#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/results.hpp"
#include "../support/roofline.hpp"

namespace {

using bench::Json;
using parade::Index, parade::Matrix, parade::Vector;
using Floats = Matrix<float>;

Floats random_matrix(Index rows, Index cols, std::uint64_t seed) {
  const parade::Random random{seed, parade::Purpose::user};
  Floats matrix(rows, cols);
  for (Index i = 0; i < matrix.size(); ++i) matrix.data()[i] = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i), -1, 1));
  return matrix;
}

#ifdef PARADE_BENCH_OPENBLAS
void openblas(bool a_transposed, bool b_transposed, const Floats& a, const Floats& b, Floats& c) {
  const auto narrow = [](Index size) { return static_cast<int>(size); };
  cblas_sgemm(CblasColMajor, a_transposed ? CblasTrans : CblasNoTrans, b_transposed ? CblasTrans : CblasNoTrans, narrow(c.rows()),
              narrow(c.cols()), narrow(a_transposed ? a.rows() : a.cols()), 1, a.data(), narrow(a.rows()), b.data(), narrow(b.rows()), 0,
              c.data(), narrow(c.rows()));
}
#endif

/// One that computes the product of a case, and where its result is.
struct Contestant {
  std::string name;
  std::function<void()> run;
  const Floats* result;
};

/// A layer's product of one kind, of one size.
struct Case {
  std::string product;
  Index outputs, inputs, samples, terms;  // terms: of each sum
  std::vector<Contestant> contestants;    // parade's comes first

  double flops() const { return 2.0 * static_cast<double>(outputs * inputs * samples); }
};

/// W (k,d), X (d,m), dZ (k,m), packed as the engine does it: once a step, or as the tape.
struct Operands {
  static constexpr Index shard = 32;

  Floats weight, x, dz;
  Floats z, z_eigen, z_openblas, dx, dx_eigen, dx_openblas, g, g_eigen, g_openblas;
  Vector<float> packed, transposed, panels, strips;
  std::vector<parade::kernels::ShardPart<float>> parts;

  Operands(Index k, Index d, Index m)
      : weight(random_matrix(k, d, 1)),
        x(random_matrix(d, m, 2)),
        dz(random_matrix(k, m, 3)),
        packed(parade::kernels::packed_size<float>(k, d)),
        transposed(parade::kernels::packed_size<float>(d, k)),
        panels(parade::kernels::packed_size<float>(k, m)),
        strips(parade::kernels::strips_size(d, m)) {
    using namespace parade::kernels;
    for (Floats* of_z : {&z, &z_eigen, &z_openblas}) of_z->setZero(k, m);
    for (Floats* of_x : {&dx, &dx_eigen, &dx_openblas}) of_x->setZero(d, m);
    for (Floats* of_g : {&g, &g_eigen, &g_openblas}) of_g->setZero(k, d);
    pack_panels(k, d, weight.data(), Index{1}, k, packed.data(), Index{0}, num_panels<float>(k));
    pack_panels(d, k, weight.data(), k, Index{1}, transposed.data(), Index{0}, num_panels<float>(d));
    pack_panels(k, m, dz.data(), Index{1}, k, panels.data(), Index{0}, num_panels<float>(k));
    pack_strips(d, m, x.data(), d, strips.data());
    for (Index first = 0; first < m; first += shard)
      parts.push_back({panels.data(), strips.data(), m, first, std::min(shard, m - first), true, true});
  }
};

std::vector<Case> cases_of(Operands& o) {
  using namespace parade::kernels;
  const Index k = o.weight.rows(), d = o.weight.cols(), m = o.x.cols();
  std::vector<Case> cases;
  const auto add = [&](const char* name, Floats& own, Floats& eigen, [[maybe_unused]] Floats& blas, std::function<void()> product,
                       std::function<void()> by_eigen, [[maybe_unused]] std::function<void()> by_openblas) {
    Case one{name,
             k,
             d,
             m,
             &own == &o.z ? d : &own == &o.dx ? k : m,
             {{"parade", std::move(product), &own}, {"Eigen", std::move(by_eigen), &eigen}}};
#ifdef PARADE_BENCH_OPENBLAS
    one.contestants.push_back({"OpenBLAS", std::move(by_openblas), &blas});
#endif
    cases.push_back(std::move(one));
  };
#ifdef PARADE_BENCH_OPENBLAS
  const auto blas = [](bool a_transposed, bool b_transposed, const Floats& a, const Floats& b, Floats& c) -> std::function<void()> {
    return [=, &a, &b, &c] { openblas(a_transposed, b_transposed, a, b, c); };
  };
#else
  const auto blas = [](auto&&...) { return std::function<void()>{}; };
#endif
  add(
      "forward", o.z, o.z_eigen, o.z_openblas,
      [&o, k, d, m] { product(k, m, d, o.packed.data(), o.x.data(), d, nullptr, o.z.data(), k); },  // (k,m) = (k,d)(d,m)
      [&o] { o.z_eigen.noalias() = o.weight * o.x; }, blas(false, false, o.weight, o.x, o.z_openblas));
  add(
      "inputs", o.dx, o.dx_eigen, o.dx_openblas,
      [&o, k, d, m] { product(d, m, k, o.transposed.data(), o.dz.data(), k, nullptr, o.dx.data(), d); },  // (d,m) = (d,k)(k,m)
      [&o] { o.dx_eigen.noalias() = o.weight.transpose() * o.dz; }, blas(true, false, o.weight, o.dz, o.dx_openblas));
  const auto weights = [&](const char* name, std::function<void()> product) {
    add(
        name, o.g, o.g_eigen, o.g_openblas, std::move(product), [&o] { o.g_eigen.noalias() = o.dz * o.x.transpose(); },
        blas(false, true, o.dz, o.x, o.g_openblas));  // (k,d) = (k,m)(m,d)
  };
  if (m == Operands::shard)
    weights("weights", [&o, k, d, m] { outer_product(k, d, m, o.dz.data(), k, o.x.data(), d, o.g.data(), k, Start::zero); });
  else
    weights("weights, tree", [&o, k, d] {
      outer_product_tree(k, {0, k}, {0, d}, std::span<const ShardPart<float>>(o.parts), o.g.data(), k);
    });
  return cases;
}

/// Calls until `seconds` have passed; the time of one.
double time_of(const std::function<void()>& run, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  double passed = 0;
  Index calls = 0;
  for (Index some = 1; passed < seconds; some *= 2) {
    for (Index i = 0; i < some; ++i) run();
    calls += some;
    passed = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  return passed / static_cast<double>(calls);
}

/// As large a difference as rounding of a sum of so many products of numbers up to 1 explains.
void check(const Case& one) {
  for (const Contestant& contestant : one.contestants) contestant.run();
  const double terms = static_cast<double>(one.terms);
  const float allowed = static_cast<float>(terms) * std::numeric_limits<float>::epsilon();
  for (const Contestant& peer : one.contestants)
    if (!((*peer.result - *one.contestants[0].result).cwiseAbs().maxCoeff() <= allowed * std::sqrt(static_cast<float>(terms))))
      throw std::runtime_error(one.product + ": " + peer.name + "'s result is not parade's, up to rounding");
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string environment = bench::restart_without_environment(argv);
  std::vector<std::string> layers = {"784-128", "128-64", "64-10", "784-512", "512-512", "512-10", "784-10"};
  std::vector<Index> samples = {32, 128, 512};
  int repeats = 15;
  double seconds = 0.01;
  bool quick = false;
  std::string json_file;
  CLI::App app{
      "The products of dense layers on one thread, each alone, its operands in the cache: forward W X, the inputs' gradients transposed W "
      "dZ,\n"
      "the weights' gradient dZ transposed X (of 32 samples; of more over the canonical tree of shards of 32). Eigen and, where it is "
      "installed,\n"
      "OpenBLAS compute the same. parade's operands are packed before: an engine does that once a step for all samples, which is not timed "
      "here."};
  app.add_option("--layers", layers, "INPUTS-OUTPUTS of each layer")->delimiter(',')->capture_default_str();
  app.add_option("--samples", samples, "samples a product")->delimiter(',')->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--repeats", repeats, "timings of each, in turns, of which the median counts")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--seconds", seconds, "length of a timing")->capture_default_str()->check(bench::positive);
  app.add_option("--json", json_file, "write all results to this file")->check(bench::can_be_written);
  app.add_flag("--quick", quick, "a trial of a second; its figures mean nothing");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    repeats = 2;
    seconds = 1e-4;
  }
  Eigen::setNbThreads(1);
#ifdef PARADE_BENCH_OPENBLAS
  openblas_set_num_threads(1);
#endif

  const bench::MachineWatch watch;
  Json json{{"machine", bench::describe_machine()}};
  json["machine"]["environment"] = environment;
  bench::print_machine(json["machine"]);
  bench::Roofline roofline;
  roofline.measure(1);
  roofline.print();
#ifdef PARADE_BENCH_OPENBLAS
  std::printf("OpenBLAS    %s\n", openblas_get_config());
#else
  std::printf("OpenBLAS    was not found (libopenblas-dev)\n");
#endif
  std::printf("\nGFLOP/s on one thread, a multiply-add as two; medians of %d timings in turns; in brackets the part of the peak\n\n",
              repeats);
  std::printf("| layer | samples | product | parade | Eigen | OpenBLAS | parade / the faster |\n|:--|--:|:--|--:|--:|--:|--:|\n");
  for (const std::string& layer : layers) {
    char* end = nullptr;
    const Index d = std::strtol(layer.c_str(), &end, 10), k = *end == '-' ? std::strtol(end + 1, &end, 10) : 0;
    if (d < 1 || k < 1 || *end != '\0') throw std::runtime_error("--layers must be like 784-128, inputs and outputs; got " + layer);
    for (const Index m : samples) {
      Operands operands(k, d, m);
      for (const Case& one : cases_of(operands)) {
        check(one);
        std::vector<std::vector<double>> times(one.contestants.size());
        for (int repeat = 0; repeat < repeats; ++repeat)
          for (std::size_t c = 0; c < times.size(); ++c) times[c].push_back(time_of(one.contestants[c].run, seconds));
        Json row{{"inputs", d}, {"outputs", k}, {"samples", m}, {"product", one.product}};
        std::string text = "| " + layer + " | " + std::to_string(m) + " | " + one.product + " |";
        double fastest_peer = 0, own = 0;
        for (std::size_t c = 0; c < 3; ++c) {
          if (c >= times.size()) {
            text += " – |";
            continue;
          }
          const double rate = one.flops() / bench::median(times[c]);
          (c == 0 ? own : fastest_peer) = c == 0 ? rate : std::max(rate, fastest_peer);
          row[one.contestants[c].name] = {{"seconds", bench::Spread(times[c])}, {"gflops", 1e-9 * rate}};
          char cell[64];
          std::snprintf(cell, sizeof(cell), " %.1f (%.0f %%) |", 1e-9 * rate, 100 * rate / roofline.peaks(1).flops);
          text += cell;
        }
        std::printf("%s **%.2f** |\n", text.c_str(), own / fastest_peer);
        std::fflush(stdout);
        json["products"].push_back(row);
      }
    }
  }
  json["peaks"] = roofline.to_json();
  json["watch"] = watch.report();
  std::printf("\n");
  bench::print_watch(json["watch"]);
  if (!json_file.empty()) bench::write_json(json_file, json);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "products: %s\n", error.what());
  return 1;
}
