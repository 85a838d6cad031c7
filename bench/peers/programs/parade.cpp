// SPDX-License-Identifier: MIT
// parade: Trainer::fit, as a user calls it.
#include <memory>
#include <utility>
#include <variant>

#include <parade/parade.hpp>

#include "lenet.hpp"
#include "peer.hpp"

namespace {

using peers::Index, peers::Json, peers::Result, peers::Run;

struct Losses {
  std::vector<double>& losses;
  void on_step(const parade::StepReport& report) { losses.push_back(report.loss); }
};

class ParadePeer {
 public:
  explicit ParadePeer(peers::Data data) : data_(std::move(data)) {}

  Json about() const {
    return {
        {"version", PARADE_VERSION_STRING}, {"kernels", parade::kernels::instruction_set()}, {"data", "8-bit, made float in the gather"}};
  }

  Result train(const Run& run) {
    if (run.sizes.empty()) return train(lenet_, run, [] { return bench::lenet(); });
    return run.sizes.size() == 2 ? train(linear_, run,
                                         [&] {
                                           return parade::Linear<float>{run.sizes[0], run.sizes[1]};
                                         })
                                 : train(mlp_, run, [&] { return parade::Mlp<float>{run.sizes}; });
  }

 private:
  template <class M>
  using TrainerOf = decltype(parade::Trainer{std::declval<M>(), parade::SoftmaxCrossEntropy{}, parade::NoRegularizer{}, parade::Sgd{}});

  template <class Trainer, class Make>
  Result train(std::unique_ptr<Trainer>& trainer, const Run& run, Make make_model) {
    if (!trainer || run.sizes != sizes_) {
      trainer = std::make_unique<Trainer>(make_model(), parade::SoftmaxCrossEntropy{}, parade::NoRegularizer{},
                                          parade::Sgd{.rate = run.rate, .momentum = run.momentum});
      sizes_ = run.sizes;
    }
    const auto theta = peers::read_all<float>(run.theta);
    trainer->set_theta(Eigen::Map<const parade::Vector<float>>(theta.data(), static_cast<Index>(theta.size())));
    const auto samples = parade::DenseData<std::uint8_t>::view(data_.values.data(), data_.num_features(), run.samples)
                             .with_labels(Eigen::Map<const parade::Vector<parade::Label>>(data_.labels.data(), run.samples));
    const parade::FitOptions options{.epochs = run.epochs,
                                     .batch_size = run.batch_size,
                                     .seed = run.seed,
                                     .threads = run.threads,
                                     .warm_start = true,    // from the θ just set
                                     .check_data = false};  // nobody else looks for what is not finite
    Result result;
    const peers::Stopwatch watch;
    const auto summary = run.keep_losses ? trainer->fit(samples, options, Losses{result.losses}) : trainer->fit(samples, options);
    result.seconds = watch.seconds();
    if (summary.stop_reason != parade::StopReason::completed) throw std::runtime_error("the training did not complete");
    if (summary.threads != run.threads) throw std::runtime_error("fewer threads arrived than were asked for");
    result.loss = summary.history.back().loss;
    return result;
  }

  peers::Data data_;
  std::vector<Index> sizes_;
  std::unique_ptr<TrainerOf<parade::Linear<float>>> linear_;
  std::unique_ptr<TrainerOf<parade::Mlp<float>>> mlp_;
  std::unique_ptr<TrainerOf<decltype(bench::lenet())>> lenet_;
};

}  // namespace

int main(int argc, char** argv) { return peers::serve<ParadePeer>(argc, argv); }
