// SPDX-License-Identifier: MIT
// How a model is fitted.
#pragma once

#include <exception>
#include <optional>

#include <parade/callbacks/progress_bar.hpp>
#include <parade/core/report.hpp>
#include <parade/data/cached.hpp>
#include <parade/train/options.hpp>
#include <parade/train/summary.hpp>

#include "model.hpp"
#include "options.hpp"

/// Of a run that takes its time, a bar on a terminal; or the progressive loss, as Vowpal Wabbit prints it: of each batch before its step, which in the first
/// epoch has not seen it yet.
class Progress {
 public:
  enum class Show { nothing, bar, progressive_loss };

  explicit Progress(Show show) : show_(show), bar_(std::clog, true) {}
  void on_begin() {
    if (show_ == Show::bar) bar_.on_begin();
  }
  void on_step(const parade::StepReport& report);
  void on_end() {
    if (show_ == Show::bar) bar_.on_end();
  }
  /// There was a step.
  bool has_begun() const { return has_begun_; }

 private:
  Show show_;
  bool has_begun_ = false;
  parade::ProgressBar bar_;
  Index epoch_ = 0, before_ = 0, rows_ = 0, next_ = 1, printed_ = 0;
  double total_ = 0, printed_total_ = 0;
};

using CachedRows = parade::CachedRows<float>;

/// The training data: one of the two.
struct Source {
  const Rows* rows = nullptr;
  const CachedRows* cache = nullptr;

  Index size() const { return rows ? rows->size() : cache->size(); }
};

struct Fitted {
  parade::Summary summary;
  parade::Vector<float> theta;
  std::optional<parade::Evaluation> evaluation;  // of a cache
  std::exception_ptr error = nullptr;  // that ended the training on a file that was changed or damaged; theta is that of the last step
};

/// What can be done with a model of one kind; its features, outputs and so on stand in Model. Each kind is compiled in a file of its own: so they compile
/// beside each other.
struct Family {
  parade::ParameterList (*parameters)(const Model& model);  // the blocks of theta
  Fitted (*fit)(const Options& o, const Model& model, const Source& source, const parade::FitOptions& options, Progress& progress);
  Matrix<float> (*scores)(const Model& model, const Rows& rows, int threads);  // (k,n)
};
extern const Family linear, fm, mlp;

inline const Family& family_of(const Model& model) { return model.kind == "fm" ? fm : model.kind == "mlp" ? mlp : linear; }
