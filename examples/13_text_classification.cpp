// SPDX-License-Identifier: MIT
// Praise or complaint? TF-IDF and logistic regression, and the words that decide: arguments [train.svm test.svm vocabulary], else made-up reviews.
#include <algorithm>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <parade/io/libsvm.hpp>
#include <parade/parade.hpp>

using namespace parade;

using Rows = SparseRows<float>;

struct Texts {
  Rows train, test;                // how often each word is in each text
  std::vector<std::string> words;  // word i is feature i
};

/// Reviews of 25 words, most of which say nothing.
Rows made_up(Index n, std::size_t neutral, std::size_t opinions, std::uint64_t seed) {
  const Random random{seed, Purpose::user};
  std::uint64_t next = 0;
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random.below(next++, bound)); };
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> indices;
  std::vector<float> counts;
  Vector<Label> labels(n);
  for (Index i = 0; i < n; ++i) {
    labels[i] = static_cast<Label>(below(2));
    std::map<std::size_t, float> words;
    for (int w = 0; w < 25; ++w) {
      const bool says_something = below(6) == 0, is_fitting = below(4) > 0;
      const std::size_t praise = is_fitting == (labels[i] > 0) ? 0 : 1;
      ++words[says_something ? neutral + praise * opinions + below(opinions)
                             : below(1 + below(neutral))];  // the first words are the most frequent
    }
    for (const auto& [word, count] : words) indices.push_back(static_cast<std::int32_t>(word)), counts.push_back(count);
    offsets.push_back(static_cast<std::int64_t>(indices.size()));
  }
  const auto size = static_cast<Index>(indices.size());
  return Rows{Vector<std::int64_t>::Map(offsets.data(), n + 1), Vector<std::int32_t>::Map(indices.data(), size),
              Vector<float>::Map(counts.data(), size), static_cast<Index>(neutral + 2 * opinions)}
      .with_labels(labels);
}

Texts made_up_texts() {
  Texts texts;
  const std::vector<std::string> neutral{"the",    "a",     "and",  "it",    "was",   "of",     "to",    "film",
                                         "in",     "with",  "they", "actor", "scene", "plot",   "music", "ending",
                                         "camera", "story", "year", "city",  "night", "people", "house", "train"},
      praise{"wonderful", "moving", "clever", "warm", "brilliant", "fresh"}, complaint{"boring", "waste", "dull", "awful", "silly", "lazy"};
  for (const auto* list : {&neutral, &praise, &complaint}) texts.words.insert(texts.words.end(), list->begin(), list->end());
  texts.train = made_up(600, neutral.size(), praise.size(), 1);
  texts.test = made_up(300, neutral.size(), praise.size(), 2);
  return texts;
}

Texts read(const char* train, const char* test, const char* vocabulary) {
  Texts texts;
  const auto [rows, report] = read_libsvm<float>(train);
  LibsvmOptions options;  // the test texts have the features of the training texts
  options.index_base = report.index_base;
  options.num_features = rows.num_features();
  texts.train = rows;
  texts.test = read_libsvm<float>(test, options).rows;
  std::ifstream in(vocabulary);
  for (std::string word; in >> word;) texts.words.push_back(word);
  if (static_cast<Index>(texts.words.size()) < rows.num_features())
    throw std::runtime_error(std::string(vocabulary) + " must have a word a line for each of the features");
  return texts;
}

int main(int argc, char** argv) try {
  const Texts texts = argc > 3 ? read(argv[1], argv[2], argv[3]) : made_up_texts();
  TfIdf tf_idf{.sublinear = true};  // rare words say more than frequent ones, and the tenth occurrence less than the first
  tf_idf.fit(texts.train);
  const Rows train = tf_idf.transform(texts.train), test = tf_idf.transform(texts.test);
  std::cout << train.size() << " texts, " << train.num_features() << " words, " << train.nonzeros() << " nonzeros\n";

  const double lambda = 1 / static_cast<double>(train.size());
  Trainer trainer{Linear<float>{train.num_features(), 1, Intercept::none}, Logistic{}, L2{.lambda = lambda}, Sgd{.rate = 30}, Cosine{}};
  const auto summary = trainer.fit(train, {.epochs = 20, .batch_size = 64, .seed = 1});
  std::cout << std::fixed << std::setprecision(4) << "objective " << trainer.evaluate(train).loss + summary.history.back().penalty
            << ", accuracy on " << test.size() << " other texts " << trainer.accuracy(test) << "\n\n";

  const Matrix<float> weight = trainer.parameter("weight");  // (1,d)
  std::vector<Index> order(static_cast<std::size_t>(train.num_features()));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return weight(0, a) < weight(0, b); });
  std::cout << "against        weight   for            weight\n" << std::setprecision(2);
  for (std::size_t i = 0; i < std::min<std::size_t>(8, order.size()); ++i) {
    const auto column = [&](Index word) {
      std::cout << std::left << std::setw(14) << texts.words[static_cast<std::size_t>(word)] << std::right << std::setw(7)
                << weight(0, word);
    };
    column(order[i]);
    std::cout << "   ";
    column(order[order.size() - 1 - i]);
    std::cout << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
