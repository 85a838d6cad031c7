// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <parade/concepts/windowed.hpp>
#include <parade/core/error.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/train/trainer.hpp>

#include "parts.hpp"
#include "training.hpp"

/// Rows in memory.
class RowsView {
 public:
  using Value = float;

  /// All rows.
  explicit RowsView(const Rows& rows)
      : features_(rows.num_features()),
        num_targets_(rows.num_targets()),
        has_labels_(rows.has_labels()),
        shape_(parade::sparse_shape(rows)) {
    look_at(rows, rows.nonzeros());
  }

  Index size() const { return size_; }
  Index num_features() const { return features_; }
  Index num_targets() const { return num_targets_; }
  bool has_labels() const { return has_labels_; }
  bool has_weights() const { return false; }
  bool all_ones() const { return all_ones_; }
  Eigen::Map<const Vector<std::int64_t>> offsets() const { return {offsets_, size_ + 1}; }
  Eigen::Map<const Vector<std::int32_t>> indices() const { return {indices_, entries_}; }
  Eigen::Map<const Vector<float>> values() const { return {values_, all_ones_ ? 0 : entries_}; }
  Eigen::Map<const Vector<Label>> labels() const { return {labels_, has_labels_ ? size_ : 0}; }
  Eigen::Map<const Vector<double>> weights() const { return {nullptr, 0}; }
  Eigen::Map<const Matrix<double>> targets() const { return {targets_, num_targets_, num_targets_ > 0 ? size_ : 0}; }
  const parade::SparseShape& shape() const { return shape_; }

 protected:
  explicit RowsView(const CachedRows::Window& window)
      : features_(window.num_features()), num_targets_(window.num_targets()), has_labels_(window.has_labels()), shape_(window.shape()) {}
  template <class D>
  void look_at(const D& rows, Index entries) {
    size_ = rows.size();
    entries_ = entries;
    all_ones_ = rows.all_ones();
    offsets_ = rows.offsets().data();
    indices_ = rows.indices().data();
    values_ = rows.values().data();
    if (has_labels_) labels_ = rows.labels().data();
    if (num_targets_ > 0) targets_ = rows.targets().data();
  }

 private:
  Index features_, num_targets_, size_ = 0, entries_ = 0;
  bool has_labels_, all_ones_ = false;
  const std::int64_t* offsets_ = nullptr;
  const std::int32_t* indices_ = nullptr;
  const float* values_ = nullptr;
  const Label* labels_ = nullptr;
  const double* targets_ = nullptr;
  parade::SparseShape shape_;
};

/// The windows of a cache: look_at says which.
class WindowView : public RowsView {
 public:
  explicit WindowView(const CachedRows::Window& window) : RowsView(window) {}
  void look_at(const CachedRows::Window& window) {
    RowsView::look_at(window, window.offsets()[window.size()]);
    window_ = &window;
  }
  Index most_batch_entries() const { return window_->most_batch_entries(); }
  std::span<const Index> samples() const { return window_->samples(); }
  Index number(Index row) const { return window_->number(row); }
  bool ends_epoch() const { return window_->ends_epoch(); }
  std::uint64_t file_bytes() const { return window_->file_bytes(); }

 private:
  const CachedRows::Window* window_ = nullptr;
};

/// A cache whose windows are such views.
class ViewedCache {
 public:
  using Window = WindowView;

  explicit ViewedCache(const CachedRows& rows) : rows_(rows) {}

  Index size() const { return rows_.size(); }
  Index num_features() const { return rows_.num_features(); }
  Index num_targets() const { return rows_.num_targets(); }
  bool has_labels() const { return rows_.has_labels(); }
  bool has_weights() const { return rows_.has_weights(); }
  parade::WindowShuffle windows() const { return rows_.windows(); }
  std::uint64_t file_bytes() const { return rows_.file_bytes(); }

  class Stream {
   public:
    explicit Stream(decltype(std::declval<const CachedRows&>().open({})) windows) : windows_(std::move(windows)) {}
    const WindowView& next() {
      const CachedRows::Window& window = windows_->next();
      if (!view_) view_ = std::make_unique<WindowView>(window);
      view_->look_at(window);
      return *view_;
    }

   private:
    decltype(std::declval<const CachedRows&>().open({})) windows_;
    std::unique_ptr<WindowView> view_;
  };
  std::unique_ptr<Stream> open(const parade::WindowPlan& plan) const { return std::make_unique<Stream>(rows_.open(plan)); }

 private:
  const CachedRows& rows_;
};
static_assert(parade::SparseData<RowsView> && !parade::Window<RowsView> && parade::Window<WindowView> && parade::WindowedData<ViewedCache>);

/// Without `takes_dense` --dense is refused before.
template <bool takes_dense, class M, class L>
Fitted fit_with(const Options& o, M model, const L& loss, const Source& source, const parade::FitOptions& options, Progress& progress) {
  const double l2 = o.l2 == "1/n" ? 1 / static_cast<double>(source.size()) : std::stod(o.l2);
  const bool own = o.optimizer == "ftrl";  // it has both terms in itself
  const AnyOptimizer steps = optimizer(o, l2);
  parade::Trainer trainer{std::move(model), loss, L1AndL2{{.lambda = own ? 0 : l2}, {.lambda = own ? 0 : o.l1}}, steps,
                          schedule(o, steps.rate, l2)};
  Fitted fitted;
  if (source.cache) {
    const ViewedCache cache{*source.cache};
    try {
      fitted.summary = trainer.fit(cache, options, progress);
      fitted.evaluation = trainer.evaluate(cache);
    } catch (const parade::FileError&) {
      if (!progress.has_begun()) throw;
      fitted.error = std::current_exception();
    }
  } else if (!o.dense) {
    const RowsView view{*source.rows};
    fitted.summary = trainer.fit(view, options, progress);
  } else if constexpr (takes_dense) {
    const Rows& rows = *source.rows;
    parade::DenseData<float> x{rows.to_dense()};
    if (rows.has_labels()) x = x.with_labels(rows.labels());
    if (rows.num_targets() > 0) x = x.with_targets(rows.targets());
    fitted.summary = trainer.fit(x, options, progress);
  }
  fitted.theta = trainer.theta();
  return fitted;
}

template <bool takes_dense, class M>
Fitted fit_model(const Options& o, const M& model, const Source& source, const parade::FitOptions& options, Progress& progress) {
  return o.on_labels()
             ? fit_with<takes_dense>(o, model, label_loss(o, std::max<std::size_t>(2, static_cast<std::size_t>(model.num_outputs()))),
                                     source, options, progress)
             : fit_with<takes_dense>(o, model, real_loss(o), source, options, progress);
}

template <class M>
Matrix<float> scores_of(const M& model, const Vector<float>& theta, const Rows& rows, int threads) {
  parade::Team team{threads};
  Matrix<float> z;
  team.run([&] { z = parade::compute_sparse_scores(team, model, theta, RowsView{rows}); });
  return z;
}
