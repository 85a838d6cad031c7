// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include <parade/data/dense_data.hpp>

#include "../../support/hand_loop.hpp"
#include "peer.hpp"

namespace peers {

/// The loop by hand; the gather is parade's own. Library: the products, and about() and set_threads(int).
template <class Library>
class HandLoopPeer {
 public:
  explicit HandLoopPeer(Data data) : data_(std::move(data)) {}

  Json about() const {
    Json about = Library::about();
    about["data"] = "8-bit, made float in parade's gather";
    return about;
  }

  Result train(const Run& run) {
    Library::set_threads(run.threads);
    if (!loop_ || run.sizes != sizes_ || run.batch_size != batch_.capacity()) {
      loop_ = std::make_unique<Loop>(run.sizes, run.batch_size, run.rate, run.momentum);
      sizes_ = run.sizes;
      samples_.reserve(batch_, run.batch_size);
    }
    const auto theta = read_all<float>(run.theta);
    loop_->start(Eigen::Map<const parade::Vector<float>>(theta.data(), static_cast<Index>(theta.size())));
    return train_by_steps(run, [this](std::span<const Index> samples) {
      samples_.gather(samples, batch_);
      return loop_->step(batch_.input(), {batch_.labels.data(), samples.size()});
    });
  }

 private:
  using Loop = bench::HandLoop<float, Library>;

  Data data_;
  parade::DenseData<std::uint8_t> samples_ = parade::DenseData<std::uint8_t>::view(data_.values.data(), data_.num_features(), data_.size())
                                                 .with_labels(Eigen::Map<const parade::Vector<Label>>(data_.labels.data(), data_.size()));
  parade::DenseBatch<float> batch_;
  std::vector<Index> sizes_;
  std::unique_ptr<Loop> loop_;
};

}  // namespace peers
