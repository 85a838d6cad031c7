// SPDX-License-Identifier: MIT
// The command line of examples/11_train.cpp, run as a process of its own, on small files.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <parade/core/config.hpp>
#include <parade/core/random.hpp>
#include <parade/data/cache.hpp>
#include <parade/io/file.hpp>
#include <parade/io/libsvm.hpp>
#include <parade/io/npy.hpp>
#include <parade/prepare/tf_idf.hpp>

#include "examples/process.hpp"
#include "support/catch.hpp"

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

Run run(const Folder& folder, const std::string& arguments) { return run_program(PARADE_TRAIN_EXAMPLE, folder, arguments); }

std::vector<std::string> lines(const fs::path& file) {
  std::istringstream in(read(file));
  std::vector<std::string> all;
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

json result(const Folder& folder) { return json::parse(read(folder.path / "r")); }

/// Rows of 20 features, a few of them there; the label is the k-th of `labels` where feature k, of the first few, is the one that is there.
std::string libsvm(const std::vector<std::string>& labels, int rows, std::uint64_t seed) {
  const parade::Random random{seed, parade::Purpose::user};
  std::string text;
  for (int i = 0; i < rows; ++i) {
    const auto number = static_cast<std::uint64_t>(i) * 10;
    const std::uint64_t which = random.below(number, labels.size());
    text += labels[which] + ' ' + std::to_string(which + 1) + ":1";
    for (std::uint64_t feature = 6; feature <= 20; ++feature)
      if (random.below(number + feature % 10, 3) == 0) text += ' ' + std::to_string(feature) + ":0.5";
    text += '\n';
  }
  return text;
}

/// Colour and size decide the label; some sizes are missing.
std::string csv(int rows, bool with_label, std::uint64_t seed) {
  const parade::Random random{seed, parade::Purpose::user};
  std::string text = with_label ? "size,colour,taste,weight\n" : "size,colour,weight\n";
  for (int i = 0; i < rows; ++i) {
    const auto number = static_cast<std::uint64_t>(i) * 3;
    const std::uint64_t size = random.below(number, 9000), colour = random.below(number + 1, 3);
    const bool sweet = colour == 1 || (colour == 2 && size > 4500);
    text += (i % 10 == 3 ? "?" : std::to_string(1000 + size)) + ',' +
            std::string(colour == 0   ? "green"
                        : colour == 1 ? "red"
                                      : "\"yellow\"");
    if (with_label) text += sweet ? ",sweet" : ",sour";
    text += ',' + std::to_string(100 + random.below(number + 2, 50)) + ".3\n";
  }
  return text;
}

}  // namespace

TEST_CASE("train: the help text names every option and its default, and how to predict") {
  const Folder folder;
  const auto [status, out, err] = run(folder, "--help");
  CHECK(status == 0);
  CHECK(err.empty());
  for (const char* option : {"--data",        "--test",        "--format",         "=libsvm",
                             "--label",       "--target",      "--leave-out",      "--no-header",
                             "--unit-norm",   "--standardize", "--hash-bits",      "--loss",
                             "=logistic",     "--delta",       "--quantile",       "--epsilon",
                             "--l2",          "--l1",          "--intercept",      "--optimizer",
                             "=sgd",          "--rate",        "--momentum",       "--schedule",
                             "=cosine",       "--power",       "--epochs",         "--batch",
                             "--dense",       "--threads",     "--memory",         "--seed",
                             "--progressive", "--save",        "--json",           "train predict --model",
                             "--tfidf",       "--sublinear",   "--skip-malformed", "--model",
                             "=linear",       "--factors",     "--hidden",         "train cache --data"})
    CHECK_THAT(out, ContainsSubstring(option));
  const auto predict = run(folder, "predict --help");
  CHECK(predict.status == 0);
  for (const char* option : {"--model", "--data", "--output", "--scores", "--probabilities", "--threads"})
    CHECK_THAT(predict.out, ContainsSubstring(option));
}

TEST_CASE("train: a bad command line ends with status 2, before a file is read, and a text that names option and rule") {
  struct Bad {
    std::string arguments, option, rule;
  };
  const auto bad = GENERATE(values<Bad>({
      {"", "--data", "required"},
      {"--data nowhere --bogus", "--bogus", "not expected"},
      {"--data nowhere --loss cubic", "--loss", "cubic"},
      {"--data nowhere --epochs 0", "--epochs", "in [1, 100000]"},
      {"--data nowhere --rate -1", "--rate", "in [0, inf)"},
      {"--data nowhere --l2 nan", "--l2", "in [0, inf)"},
      {"--data nowhere --hash-bits 29", "--hash-bits", "in [0, 28]"},
      {"--data nowhere --momentum 0.9 --l1 0.1", "momentum", "no exact lazy form"},
      {"--data nowhere --optimizer adam", "on sparse data there are: Sgd", "--dense"},
      {"--data nowhere --optimizer lazy_adam --l1 0.1", "L1 has no exact lazy form", "--dense"},
      {"--data nowhere --optimizer adagrad --l2 0.1", "L2 has no exact lazy form", "--dense"},
      {"--data nowhere --optimizer ftrl --momentum 0.5", "--momentum", "--optimizer sgd"},
      {"--data nowhere --schedule inverse", "--schedule inverse", "--l2 above 0"},
      {"--data nowhere --power 1", "--power", "--schedule inverse-scaling"},
      {"--data nowhere --quantile 0.1", "--quantile", "--loss quantile"},
      {"--data nowhere --loss quantile --quantile 0", "quantile", "(0, 1)"},
      {"--data nowhere --label 0", "--label", "--format csv and npy"},
      {"--data nowhere --format csv", "--loss logistic", "--label"},
      {"--data nowhere --format csv --loss squared --label 0", "--loss squared", "--target"},
      {"--data nowhere --standardize", "--standardize", "--format csv and npy"},
      {"--data nowhere --format npy --label 0 --hash-bits 10", "--hash-bits", "libsvm and csv"},
      {"--data nowhere --memory 0", "--memory", "in [1, 1000000]"},
      {"--data nowhere --memory 1 --dense", "--memory", "--dense holds all"},
      {"--data nowhere --memory 1 --format csv --label 0 --dense", "--memory", "--dense holds all"},
      {"--data nowhere --format cache --hash-bits 10", "--hash-bits", "libsvm and csv"},
      {"--data nowhere --format cache --standardize", "--standardize", "csv and npy"},
      {"--data nowhere --tfidf --unit-norm", "--unit-norm", "rows without --tfidf"},
      {"--data nowhere --tfidf --standardize --format csv --label 0", "--tfidf", "counts of words"},
      {"--data nowhere --sublinear", "--sublinear", "is for --tfidf"},
      {"--data nowhere --model cubic", "--model", "cubic"},
      {"--data nowhere --factors 3", "--factors", "--model fm"},
      {"--data nowhere --model fm --hidden 3", "--hidden", "--model mlp"},
      {"--data nowhere --model mlp --hidden 3,0", "--hidden", "in [1, 1000000]"},
      {"--data nowhere --model mlp --intercept", "--intercept", "--model linear"},
      {"--data nowhere --model fm --dense", "--dense", "--model linear and mlp"},
      {"--data nowhere --model fm --momentum 0.9 --l1 0.1", "momentum", "no exact lazy form"},
      {"predict --model nowhere --data nowhere", "--output", "required"},
  }));
  const Folder folder;
  CAPTURE(bad.arguments);
  const auto [status, out, err] = run(folder, bad.arguments);
  CHECK(status == 2);
  CHECK(out.empty());
  CHECK_THAT(err, ContainsSubstring(bad.option));
  CHECK_THAT(err, ContainsSubstring(bad.rule));
  CHECK_THAT(err, !ContainsSubstring("No such file"));
  CHECK(folder.files().empty());
}

TEST_CASE("train: labels of any two values come back from a LIBSVM file by way of a saved model") {
  const Folder folder;
  write(folder.path / "train", libsvm({"-7", "3"}, 200, 1));
  write(folder.path / "test", libsvm({"-7", "3"}, 50, 2));
  const std::string loss = GENERATE("logistic", "hinge", "squared-hinge", "modified-huber", "softmax");
  CAPTURE(loss);
  const auto trained =
      run(folder, "--data train --test test --intercept --l2 1/n --epochs 30 --rate 0.5 --save m.npz --json r --loss " + loss);
  CAPTURE(trained.err, trained.out);
  REQUIRE(trained.status == 0);
  CHECK_THAT(trained.out, ContainsSubstring("labels -7 3"));
  CHECK(result(folder)["test_accuracy"] == 1.0);
  CHECK(result(folder)["labels"] == json{"-7", "3"});

  const auto predicted = run(folder, "predict --model m.npz --data test --output p --scores");
  REQUIRE(predicted.status == 0);
  CHECK_THAT(predicted.out, ContainsSubstring("accuracy 100 %"));
  const auto truth = lines(folder.path / "test"), answers = lines(folder.path / "p");
  REQUIRE(answers.size() == 50);
  for (std::size_t i = 0; i < 50; ++i) {
    const std::string label = truth[i].substr(0, truth[i].find(' '));
    CHECK(answers[i].substr(0, answers[i].find(' ')) == label);
    if (loss != "softmax") CHECK((std::stod(answers[i].substr(answers[i].find(' '))) > 0) == (label == "3"));
  }
}

TEST_CASE("train: several labels are taken one against the rest, or by softmax with probabilities") {
  const Folder folder;
  write(folder.path / "train", libsvm({"5", "1", "9"}, 300, 1));
  for (const std::string loss : {"logistic", "softmax"}) {
    REQUIRE(run(folder, "--data train --epochs 30 --rate 1 --save m --json r --loss " + loss).status == 0);
    CHECK(result(folder)["labels"] == json{"1", "5", "9"});
    CHECK(result(folder)["outputs"] == 3);
    REQUIRE(run(folder, "predict --model m --data train --output p " + std::string(loss == "softmax" ? "--probabilities" : "")).status ==
            0);
    const auto truth = lines(folder.path / "train"), answers = lines(folder.path / "p");
    for (std::size_t i = 0; i < answers.size(); ++i) {
      std::istringstream line(answers[i]);
      std::string label;
      line >> label;
      CHECK(label == truth[i].substr(0, 1));
      double sum = 0;
      for (double share; line >> share;) sum += share;
      if (loss == "softmax") CHECK(std::abs(sum - 1) < 1e-6);
    }
  }
}

TEST_CASE("train: a table with categories and missing values, and predictions without the column of labels") {
  const Folder folder;
  write(folder.path / "train.csv", csv(300, true, 1));
  write(folder.path / "test.csv", csv(100, true, 2));
  write(folder.path / "new.csv", csv(100, false, 2));
  const std::string hashed = GENERATE("", " --hash-bits 10");
  CAPTURE(hashed);
  const auto trained = run(folder,
                           "--data train.csv --test test.csv --format csv --label taste --standardize --intercept --rate 0.3 --epochs 30 "
                           "--save m.npz --json r" +
                               hashed);
  CAPTURE(trained.err);
  REQUIRE(trained.status == 0);
  CHECK(result(folder)["test_accuracy"].get<double>() > 0.8);
  CHECK(result(folder)["features"] == (hashed.empty() ? 5 : 2 + 1024));
  CHECK(result(folder)["labels"] == json{"sour", "sweet"});
  REQUIRE(run(folder, "predict --model m.npz --data test.csv --output with").status == 0);
  const auto without = run(folder, "predict --model m.npz --data new.csv --output without");
  REQUIRE(without.status == 0);
  CHECK_THAT(without.out, !ContainsSubstring("accuracy"));
  CHECK(read(folder.path / "with") == read(folder.path / "without"));

  // By number, from the end, it is the same column; what is left out is not used.
  REQUIRE(run(folder, "--data train.csv --format csv --label -2 --leave-out weight,0 --json r").status == 0);
  CHECK(result(folder)["features"] == 3);
}

TEST_CASE("train: a column without a name is known by its place, also where that of the answer is missing") {
  const Folder folder;
  // Columns: a word, of no use; the label or target; a word; a number.
  const parade::Random random{1, parade::Purpose::user};
  std::string all, without, bare;
  parade::Matrix<double> x(4, 200), x_without(3, 200);
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::uint64_t word = random.below(3 * i, 2), number = random.below(3 * i + 1, 1000);
    const std::string junk = "w" + std::to_string(random.below(3 * i + 2, 5)), label = (number < 500) == (word == 1) ? "yes" : "no",
                      rest = std::string(word == 1 ? "p" : "q") + ',' + std::to_string(number) + ".5";
    all += junk + ',' + label + ',' + rest + '\n';
    without += junk + ',' + rest + '\n';
    bare += rest + '\n';
    const auto j = static_cast<parade::Index>(i);
    x.col(j) << static_cast<double>(random.below(3 * i + 2, 5)), 3 * static_cast<double>(number) + 1, static_cast<double>(word),
        static_cast<double>(number);
    x_without.col(j) << x(0, j), x(2, j), x(3, j);
  }
  write(folder.path / "all", all);
  write(folder.path / "without", without);
  write(folder.path / "bare", bare);
  write(folder.path / "named", "junk,answer,,\n" + all);
  write(folder.path / "named without", "junk,,\n" + without);
  write(folder.path / "named other", "junk,,,\n" + all);
  parade::write_npy(folder.path / "all.npy", x);
  parade::write_npy(folder.path / "without.npy", x_without);
  parade::write_npy(folder.path / "bare.npy", parade::Matrix<double>{x.bottomRows(2)});
  struct Setting {
    std::string train, all, without, bad, why;
  };
  const auto setting = GENERATE(values<Setting>({
      {"all --format csv --no-header --label 1 --standardize", "all", "without", "bare",
       "or the 3 without 'column_2' (number 1, counted from 0), which is predicted"},
      {"all --format csv --no-header --label 1 --leave-out 0", "all", "without", "bare", "it has 2 columns"},
      {"all --format csv --no-header --label column_2 --leave-out column_4 --hash-bits 6", "all", "without", "bare", "it has 2 columns"},
      {"all --format csv --no-header --label 1 --leave-out 0 --memory 9", "all", "without", "bare", "it has 2 columns"},
      {"named --format csv --label answer --leave-out junk", "named", "'named without'", "'named other'", "none of them 'answer'"},
      {"all.npy --format npy --target 1 --leave-out 0 --loss squared --standardize", "all.npy", "without.npy", "bare.npy",
       "it has 2 columns"},
  }));
  CAPTURE(setting.train);
  const auto trained = run(folder, "--data " + setting.train + " --epochs 20 --save m");
  CAPTURE(trained.err);
  REQUIRE(trained.status == 0);
  const auto predicted = run(folder, "predict --model m --data " + setting.all + " --output with --scores");
  CAPTURE(predicted.err);
  REQUIRE(predicted.status == 0);
  CHECK_THAT(predicted.out, ContainsSubstring("prediction "));
  const auto blind = run(folder, "predict --model m --data " + setting.without + " --output p --scores");
  CAPTURE(blind.err);
  REQUIRE(blind.status == 0);
  CHECK_THAT(blind.out, !ContainsSubstring("prediction "));
  CHECK(read(folder.path / "with") == read(folder.path / "p"));
  const auto bad = run(folder, "predict --model m --data " + setting.bad + " --output q");
  CHECK(bad.status == 1);
  CHECK_THAT(bad.err,
             ContainsSubstring("must have the 4 columns of the training file, those left out too,") && ContainsSubstring(setting.why));
  CHECK(!fs::exists(folder.path / "q"));
}

TEST_CASE("train: text that is all numbers in another file is the text that it was in training, the answer too") {
  const Folder folder;
  const parade::Random random{1, parade::Purpose::user};
  std::string train = "x,code,y\n", bare = train, numbers, left;  // numbers: without what is no number
  for (std::uint64_t i = 0; i < 300; ++i) {
    const std::uint64_t which = random.below(i, 3);  // two labels and two codes are numbers, the third is none
    const std::string row = "1," +
                            std::string(which == 0   ? "07"
                                        : which == 1 ? "8"
                                                     : "x") +
                            ',' +
                            (which == 0   ? "01"
                             : which == 1 ? "2"
                                          : "other") +
                            '\n';
    train += row;
    if (which < 2) numbers += row;
  }
  write(folder.path / "train.csv", train);
  write(folder.path / "numbers.csv", bare + numbers);
  write(folder.path / "nameless.csv", train.substr(bare.size()));
  write(folder.path / "nameless numbers.csv", numbers);
  const std::string memory = GENERATE("", " --memory 9");
  const auto trained = run(
      folder, "--data train.csv --test numbers.csv --format csv --label y --loss softmax --epochs 20 --rate 1 --save m --json r" + memory);
  CAPTURE(trained.err);
  REQUIRE(trained.status == 0);
  CHECK(result(folder)["labels"] == json{"01", "2", "other"});
  CHECK(result(folder)["test_accuracy"] == 1);
  const auto predicted = run(folder, "predict --model m --data numbers.csv --output p");
  CAPTURE(predicted.err);
  REQUIRE(predicted.status == 0);
  CHECK_THAT(predicted.out, ContainsSubstring("accuracy 100"));
  const auto predictions_of = [&](const std::string& text) {
    write(folder.path / "empty.csv", text);
    const auto of_empty = run(folder, "predict --model m --data empty.csv --output p --scores");
    CAPTURE(of_empty.err);
    REQUIRE(of_empty.status == 0);
    return lines(folder.path / "p");
  };
  // A column of text without any value is as if each of its values were unknown.
  CHECK(predictions_of("x,code,y\n1,,2\n1,NA,2\n") == predictions_of("x,code\n1,new\n1,newer\n"));
  REQUIRE(run(folder,
              "--data nameless.csv --test 'nameless numbers.csv' --no-header --format csv --label -1 --loss softmax --epochs 20 --rate 1 "
              "--json r" +
                  memory)
              .status == 0);
  CHECK(result(folder)["test_accuracy"] == 1);
}

TEST_CASE("train: a file to predict that lacks a column of the training file is refused by the name of that") {
  const Folder folder;
  write(folder.path / "train.csv", csv(300, true, 1));
  REQUIRE(run(folder, "--data train.csv --format csv --label taste --leave-out size --save m").status == 0);
  write(folder.path / "new.csv", "weight,taste,size\n1,sour,2\n");
  const auto [status, out, err] = run(folder, "predict --model m --data new.csv --output p");
  CHECK(status == 1);
  CHECK_THAT(err, ContainsSubstring("new.csv must have the column 'colour' of the training file; it has weight, taste, size"));
  write(folder.path / "new.csv", "weight,unknown,colour\n1.5,x,red\n");  // another order, and more
  CHECK(run(folder, "predict --model m --data new.csv --output p").status == 0);
}

TEST_CASE("train: a column that is called column_2 has a name, wherever it stands") {
  const Folder folder;
  const parade::Random random{1, parade::Purpose::user};
  std::string train = "y,column_2,column_3,column_4\n", without = "column_2,column_3,column_4\n", other = "column_4,y,column_2,column_3\n",
              nameless = "y,,,\n", place = "y,,,b\n", named = "column_2,column_3,b\n";
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::string a = std::to_string(random.below(3 * i, 10)), b = "0." + std::to_string(random.below(3 * i + 1, 900) + 100),
                      c = "0." + std::to_string(random.below(3 * i + 2, 900) + 100), y = a > "4" ? "1" : "0";
    for (std::string* file : {&train, &nameless, &place}) *file += y + ',' + a + ',' + b + ',' + c + '\n';
    for (std::string* file : {&without, &named}) *file += a + ',' + b + ',' + c + '\n';
    other += c + ',' + y + ',' + a + ',' + b + '\n';
  }
  write(folder.path / "train", train);
  write(folder.path / "without", without);
  write(folder.path / "other", other);
  write(folder.path / "nameless", nameless);
  write(folder.path / "place", place);
  write(folder.path / "named", named);
  write(folder.path / "less", "column_3,column_4\n0.5,0.5\n");
  const std::string memory = GENERATE("", " --memory 9");
  const auto trained = [&](const std::string& file) {
    return run(folder, "--data " + file + " --format csv --label y --epochs 20 --intercept --save m" + memory).status;
  };
  const auto predicted = [&](const std::string& file) {
    const auto [status, out, err] = run(folder, "predict --model m --data " + file + " --output p --scores");
    return status == 0 ? read(folder.path / "p") : err;
  };
  REQUIRE(trained("train") == 0);
  const std::string all = predicted("train");
  CHECK(lines(folder.path / "p").size() == 200);
  CHECK(predicted("without") == all);
  CHECK(predicted("other") == all);
  CHECK_THAT(predicted("less"), ContainsSubstring("must have the column 'column_2' of the training file; it has column_3, column_4"));
  CHECK_THAT(predicted("nameless"), ContainsSubstring("'column_2' of the training file; it has y, column_2 (without a name)"));
  REQUIRE(trained("place") == 0);
  CHECK_THAT(predicted("named"),
             ContainsSubstring("'column_2' of the training file, which has no name there; it has column_2, column_3, b"));
}

TEST_CASE("train: names and text that are not UTF-8 are refused before training, where a model is saved that needs them") {
  const Folder folder;
  const std::string bad = "gr\xFC\xDF";
  write(folder.path / "name", "a," + bad + ",y\n1,2,0\n2,1,1\n");
  write(folder.path / "text", "a,b,y\n1,p,0\n2," + bad + ",1\n");
  write(folder.path / "label", "a,b,y\n1,2,p\n2,1," + bad + "\n");
  const std::string memory = GENERATE("", " --memory 9");
  const auto train = [&](const std::string& file, const std::string& more) {
    return run(folder, "--data " + file + " --format csv --label y --json r" + memory + more);
  };
  for (const auto& [file, why] : {std::pair{"name", "names of columns must be UTF-8; that of column 1 of the file, counted from 0, is not"},
                                  std::pair{"text", "text must be UTF-8; in column 1 of the file"},
                                  std::pair{"label", "text must be UTF-8; in column 2 of the file"}}) {
    CAPTURE(file);
    const auto [status, out, err] = train(file, " --save m");
    CHECK(status == 1);
    CHECK_THAT(err, ContainsSubstring(why));
    CHECK_THAT(out, !ContainsSubstring("train "));
    CHECK(!fs::exists(folder.path / "m"));
    CHECK(train(file, "").status == 0);
  }
  REQUIRE(train("name", " --leave-out 1 --save m").status == 0);
  CHECK(run(folder, "predict --model m --data name --output p").status == 0);
}

TEST_CASE("train: a model whose columns do not fit each other is refused") {
  const Folder folder;
  write(folder.path / "t.csv", "a,b,y\n1,2,0\n2,1,1\n3,0,1\n");
  parade::write_npy(folder.path / "t.npy", parade::Matrix<double>{{1, 2, 3}, {2, 1, 0}, {0, 1, 1}});
  struct Bad {
    std::string pointer;  // into the description
    json value;
    std::string why;
  };
  for (const std::string format : {"csv", "npy"}) {
    REQUIRE(run(folder, "--data t." + format + " --format " + format + " --label 2 --save m").status == 0);
    const parade::NpzFile npz{folder.path / "m"};
    const auto description = npz.read_vector<std::uint8_t>("description");
    const json good = json::parse(description.begin(), description.end());
    const std::string first = good["columns"][0]["name"];
    for (const Bad& bad : std::vector<Bad>{{"/columns/1/name", first, "it has the column '" + first + "' twice"},
                                           {"/columns/0/name", "nope", "its column 'nope' is none of the training file"},
                                           {"/file_columns", json::array(), "its column '" + first + "' is none of the training file"},
                                           {"/columns/0/type", 3, "its column '" + first + "' is of the type 3"},
                                           {"/columns/0/type", -1, "its column '" + first + "' is of the type -1"},
                                           {"/answer", "nope", "the answer 'nope' is none of its columns"}}) {
      CAPTURE(format, bad.pointer, bad.why);
      json changed = good;
      changed[json::json_pointer(bad.pointer)] = bad.value;
      const std::string text = changed.dump();
      parade::Vector<std::uint8_t> bytes(static_cast<parade::Index>(text.size()));
      std::copy(text.begin(), text.end(), bytes.begin());
      const parade::Matrix<float> weight = npz.read<float>("weight");
      parade::write_npz(folder.path / "bad", {{"weight", weight}, {"description", bytes}});
      const auto [status, out, err] = run(folder, "predict --model bad --data t." + format + " --output p");
      CHECK(status == 1);
      CHECK_THAT(err, ContainsSubstring("bad is not a model of this program: " + bad.why));
    }
  }
}

TEST_CASE("train: numbers that cannot be standardized are named by their column in the file") {
  const Folder folder;
  write(folder.path / "t.csv", "word,label,left,price\nx,1,2,1e200\ny,0,3,-1e200\nx,1,4,5\n");
  write(folder.path / "t", "x,1,2,1e200\ny,0,3,-1e200\nx,1,4,5\n");
  parade::Matrix<double> x{{1, 2, 3}, {0, 1, 0}, {5, 6, 7}, {1e200, -1e200, 0}};
  parade::write_npy(folder.path / "x.npy", x);
  x(3, 1) = std::numeric_limits<double>::infinity();
  parade::write_npy(folder.path / "infinite.npy", x);
  for (const std::string memory : {"", " --memory 9"}) {
    CAPTURE(memory);
    const auto error = [&](const std::string& arguments) {
      const auto [status, out, err] = run(folder, "--data " + arguments + " --standardize --label 1" + memory);
      CHECK(status == 1);
      return err;
    };
    CHECK_THAT(
        error("t.csv --format csv --leave-out left"),
        ContainsSubstring("column 'price' (number 3 of the file, counted from 0) must hold numbers whose mean and variance are finite"));
    CHECK_THAT(error("t --format csv --no-header --leave-out 0"),
               ContainsSubstring("column 'column_4' (number 3 of the file, counted from 0) must"));
    CHECK_THAT(error("x.npy --format npy --leave-out 0"),
               ContainsSubstring("column 'column_4' (number 3 of the file, counted from 0) must"));
    CHECK_THAT(error("infinite.npy --format npy --leave-out 0,2"),
               ContainsSubstring("got inf in column 'column_4' (number 3 of the file, counted from 0) of sample 1"));
  }
}

#if PARADE_HAS_ZLIB
TEST_CASE("train: --memory takes packed LIBSVM files, and queries are no trouble") {
  const Folder folder;
  std::string text = libsvm({"-1", "1"}, 3000, 1);
  for (std::size_t at = 0, row = 0; (at = text.find(' ', at)) != std::string::npos; at = text.find('\n', at), ++row)
    text.insert(at, " qid:" + std::to_string(row / 10));
  write(folder.path / "t", text);
  parade::detail::write_file(folder.path / "t.gz", {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  std::set<std::string> hashes;
  for (const char* arguments : {"t", "t --memory 9", "t.gz", "t.gz --memory 9"}) {
    const auto [status, out, err] = run(folder, std::string("--data ") + arguments + " --epochs 2 --json r");
    CAPTURE(arguments, err);
    REQUIRE(status == 0);
    hashes.insert(result(folder)["theta_hash"]);
  }
  CHECK(hashes.size() == 1);
  CHECK(run(folder, "--data t.gz --memory 9 --hash-bits 8").status == 0);
}
#endif

TEST_CASE("train: regression on a matrix, and from its model the same numbers") {
  const Folder folder;
  parade::Matrix<double> x(4, 200);  // the last is the target
  const parade::Random random{1, parade::Purpose::user};
  for (parade::Index j = 0; j < 200; ++j) {
    for (parade::Index i = 0; i < 3; ++i) x(i, j) = random.uniform(static_cast<std::uint64_t>(j * 3 + i), 0, 100);
    x(3, j) = 2 * x(0, j) - x(1, j) + 7;
  }
  parade::write_npy(folder.path / "x.npy", x);
  const auto trained = run(folder,
                           "--data x.npy --test x.npy --format npy --target -1 --loss squared --standardize --intercept --rate 0.1 "
                           "--epochs 50 --batch 20 --save m --json r");
  CAPTURE(trained.err);
  REQUIRE(trained.status == 0);
  CHECK(result(folder)["test_rmse"].get<double>() < 1e-3);
  REQUIRE(run(folder, "predict --model m --data x.npy --output p").status == 0);
  const auto answers = lines(folder.path / "p");
  REQUIRE(answers.size() == 200);
  for (std::size_t j = 0; j < 200; ++j) CHECK(std::abs(std::stod(answers[j]) - x(3, static_cast<parade::Index>(j))) < 0.01);

  for (const std::string loss :
       {"huber --delta 2", "absolute", "quantile --quantile 0.5", "epsilon-insensitive --epsilon 0", "squared-epsilon-insensitive"}) {
    CAPTURE(loss);
    REQUIRE(run(folder,
                "--data x.npy --test x.npy --format npy --target 3 --standardize --intercept --rate 1 --epochs 50 --batch 20 --json r "
                "--loss " +
                    loss)
                .status == 0);
    CHECK(result(folder)["test_r2"].get<double>() > 0.5);
  }
}

TEST_CASE("train: theta has the same hash on one thread and on three, and other settings have others") {
  const Folder folder;
  write(folder.path / "train", libsvm({"0", "1", "2"}, 500, 1));
  std::set<std::string> all;
  const auto hash = [&](const std::string& arguments) {
    const auto [status, out, err] = run(folder, "--data train --batch 300 --epochs 3 --json r " + arguments);
    CAPTURE(arguments, err);
    REQUIRE(status == 0);
    return result(folder)["theta_hash"].get<std::string>();
  };
  const std::vector<std::string> settings{"",
                                          "--l2 0.01 --l1 0.001",
                                          "--optimizer adagrad --l1 0.001",
                                          "--optimizer ftrl --l1 0.1 --l2 1",
                                          "--optimizer lazy_adam",
                                          "--hash-bits 8",
                                          "--unit-norm",
                                          "--dense --momentum 0.5",
                                          "--dense --optimizer adam",
                                          "--schedule inverse-scaling",
                                          "--schedule linear",
                                          "--schedule constant",
                                          "--seed 2",
                                          "--loss softmax",
                                          "--intercept"};
  for (const std::string& setting : settings) {
    const std::string one = hash(setting + " --threads 1");
    CHECK(one == hash(setting + " --threads 3"));
    CHECK(std::regex_match(one, std::regex("[0-9a-f]{16}")));
    all.insert(one);
  }
  CHECK(all.size() == settings.size());
}

TEST_CASE("train: sparse and dense training come to the same objective") {
  const Folder folder;
  write(folder.path / "train", libsvm({"0", "1"}, 300, 1));
  std::vector<double> objectives;
  for (const char* dense : {"", " --dense"}) {
    REQUIRE(run(folder, std::string("--data train --l2 0.01 --l1 0.001 --intercept --json r") + dense).status == 0);
    objectives.push_back(result(folder)["train_objective"]);
  }
  CHECK(std::abs(objectives[0] - objectives[1]) < 1e-5);
}

TEST_CASE("train: --memory trains on data that is larger, from a LIBSVM file or a cache, and leaves no file behind") {
  const Folder folder;
  write(folder.path / "text", libsvm({"-1", "1", "4"}, 20000, 1));
  parade::write_cache(folder.path / "cache", parade::read_libsvm<float>(folder.path / "text").rows, {.rows_per_block = 1000});
  const auto files = folder.files();
  const auto trained = [&](const std::string& arguments) {
    const auto [status, out, err] = run(folder, arguments + " --epochs 3 --rate 1 --l2 0.01 --intercept --json r");
    CAPTURE(arguments, err);
    REQUIRE(status == 0);
    const json r = result(folder);
    fs::remove(folder.path / "r");
    CHECK(folder.files() == files);
    CHECK(r["labels"] == json{"-1", "1", "4"});
    return std::pair{r, out};
  };
  for (const std::string setting : {"", " --loss softmax --unit-norm", " --test text"}) {
    CAPTURE(setting);
    const json in_memory = trained("--data text" + setting).first,
               from_cache =
                   trained("--data cache --format cache" + std::string(setting == " --test text" ? " --test cache" : setting)).first;
    const auto [all, text] = trained("--data text --memory 64" + setting);  // one window: the order of data in memory
    CHECK(all["theta_hash"] == in_memory["theta_hash"]);
    CHECK(from_cache["theta_hash"] == in_memory["theta_hash"]);
    for (const char* name : {"rows", "features", "nonzeros"}) CHECK(all[name] == in_memory[name]);
    CHECK(std::abs(all["train_objective"].get<double>() - in_memory["train_objective"].get<double>()) < 1e-6);
    CHECK(all.value("test_accuracy", 0.0) == in_memory.value("test_accuracy", 0.0));
  }

  const auto [one, said] = trained("--data cache --format cache --memory 1 --threads 1");
  CHECK_THAT(said, ContainsSubstring("20 blocks on disk"));
  CHECK_THAT(said, !ContainsSubstring("20 in memory"));
  CHECK(one["theta_hash"] == trained("--data cache --format cache --memory 1 --threads 3").first["theta_hash"]);
  const json in_memory = trained("--data text").first;
  CHECK(one["theta_hash"] != in_memory["theta_hash"]);
  CHECK(std::abs(one["train_objective"].get<double>() - in_memory["train_objective"].get<double>()) < 1e-3);
}

TEST_CASE("train cache: a cache of a LIBSVM or CSV file is trained on as the file is, in part or as a whole") {
  const Folder folder;
  write(folder.path / "text", libsvm({"-1", "+1"}, 3000, 3));
  write(folder.path / "table.csv", csv(3000, true, 4));
  const auto hash_of = [&](const std::string& arguments) {
    const auto [status, out, err] = run(folder, arguments + " --epochs 2 --json r");
    INFO(err);
    REQUIRE(status == 0);
    return result(folder)["theta_hash"].get<std::string>();
  };
  struct Case {
    std::string cache, file, loss;
  };
  for (const auto& [cache, file, loss] :
       {Case{"--data text", "--data text", "--loss logistic"}, Case{"--data text --real", "--data text", "--loss squared"},
        Case{"--data table.csv --format csv --label taste --leave-out size", "--data table.csv --format csv --label taste --leave-out size",
             "--loss hinge"},
        Case{"--data table.csv --format csv --label taste --leave-out size --hash-bits 9",
             "--data table.csv --format csv --label taste --leave-out size --hash-bits 9", "--loss logistic"}}) {
    CAPTURE(cache);
    const auto [status, out, err] = run(folder, "cache " + cache + " --output c");
    INFO(err);
    REQUIRE(status == 0);
    CHECK_THAT(out, ContainsSubstring("cache       c: 3000 rows, "));
    CHECK(hash_of("--data c --format cache " + loss) == hash_of(file + ' ' + loss));
    CHECK(hash_of("--data c --format cache --memory 4 " + loss) == hash_of(file + " --memory 4 " + loss));
  }
  // The labels of a table keep their names: in what is said, in the model, in predictions.
  REQUIRE(run(folder, "cache --data table.csv --format csv --label taste --leave-out size --output c").status == 0);
  CHECK_THAT(run(folder, "--data c --format cache --save m").out, ContainsSubstring("; labels sour sweet\n"));
  REQUIRE(run(folder, "predict --model m --data c --output p").status == 0);
  const auto predicted = lines(folder.path / "p");
  CHECK(std::set<std::string>(predicted.begin(), predicted.end()) == std::set<std::string>{"sour", "sweet"});
  CHECK_THAT(run(folder, "--data c --format cache --memory 4").out, ContainsSubstring("; labels sour sweet\n"));
}

TEST_CASE("train cache: a cache of other features than the training cache is refused, and index bases are kept") {
  const Folder folder;
  const auto make = [&](const std::string& arguments) {
    const auto [status, out, err] = run(folder, "cache " + arguments);
    INFO(err);
    REQUIRE(status == 0);
  };
  const auto refuses = [&](const std::string& test, const std::string& error) {
    CAPTURE(test);
    REQUIRE(run(folder, "--data c --format cache --epochs 2 --save m").status == 0);
    for (const std::string& arguments :
         {"--data c --format cache --epochs 2 --test " + test, "--data c --format cache --memory 9 --epochs 2 --test " + test,
          "predict --model m --data " + test + " --output p"}) {
      const auto [status, out, err] = run(folder, arguments);
      CHECK(status == 1);
      CHECK_THAT(err, ContainsSubstring(test) && ContainsSubstring(error));
    }
  };
  // Feature 0 is in the training file, and not in the other.
  std::string from_0, of_test;
  for (int i = 0; i < 200; ++i) {
    from_0 += i % 2 == 0 ? "0 0:1 2:1\n" : "1 1:1 2:1\n";
    of_test += i % 2 == 0 ? "0 2:1\n" : "1 1:1 2:1\n";
  }
  write(folder.path / "train", from_0);
  write(folder.path / "test", of_test);
  make("--data train --output c");
  make("--data test --output t");
  refuses("t",
          "numbered from 0, as the training cache; it has the features of a LIBSVM file, numbered from 1. (Make both by train cache "
          "--index-base 0)");
  make("--data test --index-base 0 --output t");
  CHECK_THAT(run(folder, "--data c --format cache --epochs 20 --rate 1 --test t").out,
             ContainsSubstring("test        loss") && ContainsSubstring("accuracy 100 %"));
  // Texts of a table, one-hot: other levels are other features. Hashed they may be others, if the columns are the same.
  write(folder.path / "a.csv", "job,age,y\ncook,1,u\nsmith,2,v\ncook,3,u\nsmith,4,v\n");
  write(folder.path / "b.csv", "job,age,y\ncook,1,u\ndriver,2,v\n");
  write(folder.path / "d.csv", "work,age,y\ncook,1,u\nsmith,2,v\n");
  write(folder.path / "e.csv", "job,age,y\ncook,x,u\nsmith,z,v\n");
  make("--data a.csv --format csv --label y --output c");
  make("--data b.csv --format csv --label y --output t");
  refuses("t", "feature 1, counted from 0, must be that of the training cache, 'job=smith'; it is 'job=driver'");
  write(folder.path / "f.csv", "job,age,y\ncook,1,u\ncook,2,v\n");
  make("--data f.csv --format csv --label y --output t");
  CHECK(run(folder, "--data c --format cache --epochs 2 --test t").status == 1);  // age is feature 1 there, job=smith here
  write(folder.path / "g.csv", "age,job,y\n1,cook,u\n2,smith,v\n");
  write(folder.path / "h.csv", "age,job,y\n1,cook,u\n2,cook,v\n");
  make("--data g.csv --format csv --label y --output c");
  make("--data h.csv --format csv --label y --output t");
  CHECK(run(folder, "--data c --format cache --epochs 2 --test t").status == 0);  // lacks the last feature only
  make("--data g.csv --format csv --label y --hash-bits 6 --output t");
  refuses(
      "t",
      "must have the features of a CSV file, each with its name, as the training cache; it has the features of a CSV file, texts hashed");
  make("--data a.csv --format csv --label y --hash-bits 6 --output c");
  make("--data g.csv --format csv --label y --output t");
  refuses("t", "as the training cache; it has the features of a CSV file, each with its name. (The features of a cache");
  make("--data b.csv --format csv --label y --hash-bits 6 --output t");
  CHECK(run(folder, "--data c --format cache --epochs 2 --test t").status == 0);
  make("--data b.csv --format csv --label y --hash-bits 7 --output t");
  refuses("t", "texts hashed to 2^6, of the columns 'job' 'age', as the training cache; it has");
  make("--data d.csv --format csv --label y --hash-bits 6 --output t");
  refuses("t", "'work' 'age'");
  make("--data e.csv --format csv --label y --hash-bits 6 --output t");
  refuses("t", "must have the 65 features of the training cache; it has 64: a column of numbers there is one of text here");
}

TEST_CASE("train cache: --like makes a cache of the features of the training file, as testing on the file itself does") {
  const Folder folder;
  // In the other file: texts and a label that are new, a text that is a number, a column that is all numbers here, one without values.
  // Where it is hashed, a column at another place; what is left out is text here, or only here, or only there.
  std::string train = "job,zip,id,none,age,y,old\n", test = "id,job,zip,none,new,age,y\n", moved = "id,new,zip,job,none,age,y\n";
  const char* const jobs[] = {"cook", "smith", "7", "driver", "pilot"};
  for (int i = 0; i < 300; ++i) {
    const int kind = (i * 7) % 4;
    train += std::string(jobs[kind]) + (i % 3 ? ",x1," : ",07,") + std::to_string(i) + (i % 2 ? ",a," : ",,") + std::to_string(i % 10) +
             (kind < 2 ? ",01,1\n" : ",v,2\n");
  }
  for (int i = 0; i < 60; ++i) {
    const std::string job = jobs[i % 5], zip = i % 2 ? "11" : "07", id = i == 7 ? "text" : std::to_string(i);
    const std::string age = std::to_string(i % 10), label = i == 50 ? "w" : i % 5 < 2 ? "01" : "v";
    test += id + ',' + job + ',' + zip + ",,new," + age + ',' + label + '\n';
    moved += id + ",new," + zip + ',' + job + ",," + age + ',' + label + '\n';
  }
  write(folder.path / "moved.csv", moved);
  write(folder.path / "train.csv", train);
  write(folder.path / "test.csv", test);
  for (const std::string options : {"--format csv --label y", "--format csv --label y --hash-bits 8"}) {
    CAPTURE(options);
    const bool hashed = options.ends_with('8');
    const std::string left_out = " --leave-out id,old", file = hashed ? "moved.csv" : "test.csv";
    REQUIRE(run(folder, "cache --data train.csv --output c " + options + left_out).status == 0);
    const auto [status, out, err] = run(folder, "cache --data " + file + " --like train.csv --output t --leave-out id,old,new " + options);
    INFO(err);
    REQUIRE(status == 0);
    CHECK((err.find("warning: 42 values of text that train.csv does not have are taken as missing\n") != std::string::npos) == !hashed);
    const auto test_line = [&](const std::string& arguments) {
      const auto [ended, said, error] = run(folder, arguments + " --epochs 3");
      INFO(error);
      REQUIRE(ended == 0);
      const auto at = said.find("test        loss");
      REQUIRE(at != std::string::npos);
      return said.substr(at, said.find('\n', at) - at);
    };
    const auto told = [&](std::string line) {  // a cache does not know any more what was missing
      constexpr std::string_view unknown = " 42 values of text that training did not have, taken as missing;";
      if (const auto at = line.find(unknown); at != std::string::npos) line.erase(at, unknown.size());
      return line;
    };
    CHECK(test_line("--data c --format cache --test t") == told(test_line("--data train.csv --test " + file + ' ' + options + left_out)));
    CHECK(test_line("--data c --format cache --memory 4 --test t") ==
          told(test_line("--data train.csv --memory 4 --test " + file + ' ' + options + left_out)));
  }
}

TEST_CASE("train: names of classes that stand twice in a cache are none, in part as in memory") {
  const Folder folder;
  write(folder.path / "text", libsvm({"0", "1", "2"}, 900, 3));
  parade::write_cache(folder.path / "c", parade::read_libsvm<float>(folder.path / "text").rows,
                      {.rows_per_block = 100, .schema = {{}, {"other", "sour", "other"}, {}}});
  for (const char* memory : {"", " --memory 1"})
    CHECK_THAT(run(folder, std::string("--data c --format cache") + memory).out, ContainsSubstring("labels 0 1 2\n"));
}

TEST_CASE("train cache: what makes no sense is refused, and what was there is left as it was") {
  const Folder folder;
  write(folder.path / "text", "1 1:1\n0 2:x\n");
  write(folder.path / "table.csv", "a,b\n1,yes\n2,no\n");
  write(folder.path / "nothing", "# a comment\n");
  write(folder.path / "no_features", "1\n0\n");
  write(folder.path / "lacks.csv", "a,b\n1,yes\n?,no\n");
  write(folder.path / "lacks_a.csv", "b\nyes\n");
  write(folder.path / "other.csv", "b,a,d\nno,1,2\nyes,2,3\n");
  write(folder.path / "c", "what was there");
  struct Case {
    std::string arguments;
    int status;
    std::string error;
  };
  for (const auto& [arguments, status, error] :
       {Case{"--data text", 1, "text: line 2, column 5: found 'x'"},
        Case{"--data nowhere", 1, "nowhere"},
        Case{"--data text --label a", 2, "--label is for --format csv"},
        Case{"--data text --target a", 2, "--target is for --format csv"},
        Case{"--data text --leave-out a", 2, "--leave-out is for --format csv"},
        Case{"--data text --no-header", 2, "--no-header is for --format csv"},
        Case{"--data text --hash-bits 8", 2, "--hash-bits is for --format csv"},
        Case{"--data text --hash-bits 29", 2, "[0, 28]"},
        Case{"--data table.csv --format csv", 2, "needs --label or --target"},
        Case{"--data table.csv --format csv --label b --target a", 2, "needs --label or --target, and not both"},
        Case{"--data table.csv --format csv --label b --real", 2, "--real is for --format libsvm"},
        Case{"--data table.csv --format csv --label nix", 1, "table.csv: the table has no column 'nix'"},
        Case{"--data table.csv --format csv --target 7", 1, "table.csv: the file has 2 columns; there is no column 7"},
        Case{"--data table.csv --format csv --label b --leave-out b", 1,
             "table.csv: column 'b' is what is to be predicted: it cannot be left out"},
        Case{"--data table.csv --format csv --label b --index-base 0", 2, "--index-base is for --format libsvm"},
        Case{"--data text --index-base 2", 2, "[0, 1]"},
        Case{"--data text --like text", 2, "--like is for --format csv"},
        Case{"--data table.csv --format csv --label b --like c", 2, "--output must name another file than --like"},
        Case{"--data table.csv --format csv --label b --like none.csv", 1, "none.csv: cannot be opened"},
        Case{"--data table.csv --format csv --label b --like lacks_a.csv", 1,
             "table.csv: the table that it is to be like has no column 'a' (--leave-out leaves it out)"},
        Case{"--data table.csv --format csv --label b --like other.csv", 1,
             "table.csv must have the column 'd' of the table that it is to be like"},
        Case{"--data nothing", 1, "nothing: must have at least 1 row; got 0"},
        Case{"--data no_features", 1, "no_features: must have at least 1 feature; got 0"},
        Case{"--data text --index-base 0", 1, "text: line 2"},
        Case{"--data table.csv --format npy --label b", 2, "--format"},
        Case{"--data lacks.csv --format csv --label b", 1,
             "lacks.csv: column 'a' must have a value in each row; it lacks 1, the first in row 1 (--leave-out leaves the column out)\n"},
        Case{"--data c", 2, "--output must name another file than --data"},
        Case{"", 2, "--data is required"}}) {
    CAPTURE(arguments);
    const auto files = folder.files();
    const auto [ended, said, err] = run(folder, "cache " + arguments + " --output c");
    CHECK(ended == status);
    CHECK_THAT(err, ContainsSubstring(error));
    CHECK(read(folder.path / "c") == "what was there");
    CHECK(folder.files() == files);
  }
  std::filesystem::create_symlink("c", folder.path / "link");
  REQUIRE(run(folder, "cache --data table.csv --format csv --label b --output link").status == 0);
  CHECK(std::filesystem::is_symlink(folder.path / "link"));
  CHECK(read(folder.path / "c").size() > 100);
  const auto in_training = run(folder, "--data lacks.csv --format csv --label b --memory 10");
  CHECK(in_training.status == 1);
  CHECK_THAT(in_training.err, ContainsSubstring("lacks.csv: column 'a'") &&
                                  ContainsSubstring("(--standardize puts the mean there, --leave-out leaves the column out)\n"));
  const auto [status, out, err] = run(folder, "cache --data text --skip-malformed --output c");
  CHECK(status == 0);
  CHECK_THAT(out, ContainsSubstring("cache       c: 1 rows, 1 features, 1 nonzeros, 1 blocks"));
  CHECK_THAT(err, ContainsSubstring("1 malformed rows were left out, the first: text: line 2, column 5"));
  CHECK_THAT(run(folder, "--data table.csv --format csv --label b --leave-out b").err,
             ContainsSubstring("table.csv: column 'b' is what is to be predicted"));
}

TEST_CASE("train: a cache and --memory for a loss on targets, and a cache of something else ends with status 1") {
  const Folder folder;
  parade::LibsvmOptions real;
  real.targets = parade::LibsvmTargets::real;
  write(folder.path / "text", libsvm({"1", "2"}, 500, 1));
  parade::write_cache(folder.path / "cache", parade::read_libsvm<float>(folder.path / "text", real).rows);
  std::set<std::string> hashes;
  for (const char* arguments :
       {"--data text", "--data text --memory 9", "--data cache --format cache", "--data cache --format cache --memory 9"}) {
    REQUIRE(run(folder, std::string(arguments) + " --loss squared --save m --json r").status == 0);
    hashes.insert(result(folder)["theta_hash"]);
  }
  CHECK(hashes.size() == 1);
  CHECK(run(folder, "predict --model m --data cache --output p").status == 0);
  CHECK(lines(folder.path / "p").size() == 500);

  for (const char* memory : {"", " --memory 9"}) {
    const auto [status, out, err] = run(folder, std::string("--data cache --format cache --loss logistic") + memory);
    CHECK(status == 1);
    CHECK_THAT(err, ContainsSubstring("cache must hold labels"));
    CHECK_THAT(run(folder, std::string("--data text --format cache --loss logistic") + memory).err, ContainsSubstring("text: "));
  }
}

TEST_CASE("train: --memory trains on tables and matrices as it does in memory, and their models predict the same") {
  const Folder folder;
  const auto text = csv(3000, true, 1);
  write(folder.path / "t.csv", text);
  write(folder.path / "new.csv", csv(100, false, 2) + "5000,blue,100.5\n");  // a colour that training did not have
  parade::Matrix<double> x(5, 3000);                                         // the last two are a label and a target
  const parade::Random random{1, parade::Purpose::user};
  for (parade::Index j = 0; j < x.cols(); ++j) {
    for (parade::Index i = 0; i < 3; ++i) x(i, j) = random.uniform(static_cast<std::uint64_t>(j * 3 + i), 0, 100);
    if (j % 4 == 0) x(0, j) = 0;
    x(3, j) = x(0, j) > x(1, j) ? 7 : 5;
    x(4, j) = 2 * x(0, j) - x(1, j) + 7;
  }
  parade::write_npy(folder.path / "x.npy", x);
  x(2, 2900) = std::nan("");
  parade::write_npy(folder.path / "missing.npy", x);
  std::string data = "t.csv";
#if PARADE_HAS_ZLIB
  parade::detail::write_file(folder.path / "t.csv.gz", {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  data = "t.csv.gz";
#endif
  struct Setting {
    std::string arguments, to_predict;
  };
  const auto setting = GENERATE_COPY(values<Setting>({
      {"--data " + data + " --format csv --label taste --leave-out size", "new.csv"},
      {"--data t.csv --format csv --label 2 --standardize --intercept --test t.csv", "new.csv"},
      {"--data t.csv --format csv --label taste --standardize --unit-norm --hash-bits 6", ""},
      {"--data t.csv --format csv --target -1 --loss squared --leave-out size,taste --hash-bits 6 --test t.csv", ""},
      {"--data x.npy --format npy --label 3 --leave-out 4 --test x.npy", "x.npy"},
      {"--data missing.npy --format npy --target -1 --leave-out 3 --loss squared --standardize --test missing.npy", "missing.npy"},
  }));
  CAPTURE(setting.arguments);
  const auto files = folder.files();
  const auto trained = [&](const std::string& arguments, const std::string& model) {
    const auto [status, out, err] = run(folder, setting.arguments + " --epochs 3 --json r --save " + model + arguments);
    CAPTURE(arguments, err);
    REQUIRE(status == 0);
    return result(folder);
  };
  const json in_memory = trained("", "a"), all = trained(" --memory 64 --threads 2", "b");  // one window: the order of data in memory
  for (const char* name : {"theta_hash", "rows", "features", "nonzeros", "labels"}) CHECK(all[name] == in_memory[name]);
  for (const char* name : {"test_accuracy", "test_rmse"}) CHECK(all.value(name, 0.0) == in_memory.value(name, 0.0));
  if (!setting.to_predict.empty()) {
    REQUIRE(run(folder, "predict --model a --data " + setting.to_predict + " --output pa --scores").status == 0);
    REQUIRE(run(folder, "predict --model b --data " + setting.to_predict + " --output pb --scores").status == 0);
    CHECK(read(folder.path / "pa") == read(folder.path / "pb"));
  }
  for (const char* made : {"a", "b", "r", "pa", "pb"}) fs::remove(folder.path / made);
  CHECK(folder.files() == files);
}

TEST_CASE("train: what --memory cannot use of a table or matrix ends with status 1, and nothing is left behind") {
  const Folder folder;
  write(folder.path / "t.csv", csv(30, true, 1));
  write(folder.path / "one.csv", "a,b\n1,x\n2,x\n");
  write(folder.path / "bad.csv", "a,b\n1,x\n2\n");
  write(folder.path / "none.csv", "a,b\n");
  parade::Matrix<double> x = parade::Matrix<double>::Ones(2, 10);
  x(0, 3) = std::nan("");
  parade::write_npy(folder.path / "x.npy", x);
  parade::write_npy(folder.path / "none.npy", parade::Matrix<double>(2, 0));
  const auto files = folder.files();
  struct Bad {
    std::string arguments, why;
  };
  for (const Bad& bad : std::vector<Bad>{
           {"t.csv --format csv --label taste", "column 'size' must have a value in each row; it lacks 3, the first in row 3"},
           {"t.csv --format csv --label colours", "the table has no column 'colours'; it has size, colour, taste, weight"},
           {"t.csv --format csv --label 4", "the file has 4 columns; there is no column 4"},
           {"one.csv --format csv --label b", "at least 2 different labels; got 1"},
           {"bad.csv --format csv --label b", "bad.csv: line 3, column 2: found 1 value"},
           {"none.csv --format csv --label b", "label must be a column of text or whole numbers"},
           {"none.csv --format csv --target b --loss squared", "none.csv must have at least 1 row; got 0"},
           {"x.npy --format npy --label 1", "column 'column_1' must have a value in each row; it lacks 1 (--standardize"},
           {"x.npy --format npy --target 0 --loss squared --standardize", "column 'column_1' must have a value in each row; it lacks 1"},
           {"none.npy --format npy --target 1 --loss squared", "none.npy must have at least 1 row; got 0"},
           {"t.csv --format npy --label 1", "t.csv: byte 0: found 'size,c'"}}) {
    CAPTURE(bad.arguments);
    const auto [status, out, err] = run(folder, "--memory 9 --data " + bad.arguments);
    CHECK(status == 1);
    CHECK_THAT(err, ContainsSubstring(bad.why));
    CHECK(folder.files() == files);
  }
}

TEST_CASE("train: TF-IDF is that of the library, fitted to the training part and applied by predict, also with --memory") {
  const Folder folder;
  const std::string text = libsvm({"-1", "1", "4"}, 3000, 1);
  write(folder.path / "text", text);
  write(folder.path / "test", libsvm({"-1", "1", "4"}, 300, 2) + "1 1:1 77:2\n");  // and a word that training did not have
  const auto rows = parade::read_libsvm<float>(folder.path / "text").rows;
  auto prepared = rows;
  parade::TfIdf tf_idf{.sublinear = true};
  prepared = tf_idf.fit(rows).transform(rows);
  parade::write_cache(folder.path / "prepared", prepared);
  const auto hash_of = [&](const std::string& arguments) {
    const auto [status, out, err] = run(folder, arguments + " --epochs 2 --rate 1 --json r --save m");
    CAPTURE(arguments, err);
    REQUIRE(status == 0);
    return result(folder)["theta_hash"].get<std::string>();
  };
  const std::string expected = hash_of("--data prepared --format cache");
  CHECK(hash_of("--data text --memory 64 --tfidf --sublinear --test test") == expected);
  CHECK(hash_of("--data text --tfidf --sublinear --test test") == expected);
  for (const char* other : {"--unit-norm", "--tfidf"}) CHECK(hash_of(std::string("--data text ") + other) != expected);
  CHECK(hash_of("--data text --tfidf --hash-bits 5") == hash_of("--data text --tfidf --hash-bits 5 --memory 64"));

  hash_of("--data text --tfidf --sublinear --test test");
  const double accuracy = result(folder)["test_accuracy"];
  REQUIRE(run(folder, "predict --model m --data test --output p --scores").status == 0);
  const auto truth = lines(folder.path / "test"), answers = lines(folder.path / "p");
  REQUIRE(answers.size() == 301);
  double right = 0;
  for (std::size_t i = 0; i < 301; ++i) right += answers[i].substr(0, answers[i].find(' ')) == truth[i].substr(0, truth[i].find(' '));
  CHECK(std::abs(right / 301 - accuracy) < 1e-12);
  // The scores are those of the weights on what the library makes of the test rows.
  const parade::NpzFile model{folder.path / "m"};
  CHECK(model.read_vector<double>("idf") == tf_idf.idf);
  parade::LibsvmOptions options;
  options.num_features = 77;
  const auto test = parade::read_libsvm<float>(folder.path / "test", options).rows;
  const auto row = test[0];
  std::vector<double> values;
  for (std::size_t e = 0; e < row.indices.size(); ++e) values.push_back(static_cast<double>(row.value(e)));
  tf_idf.transform_row(row.indices, values.data());
  const auto weight = model.read<float>("weight");
  double score = 0;
  for (std::size_t e = 0; e < values.size(); ++e) score += static_cast<double>(weight(0, row.indices[e])) * values[e];
  CHECK(std::abs(std::stod(answers[0].substr(answers[0].find(' '))) - score) < 1e-5);
}

TEST_CASE("train: a factorization machine and a neural network learn what a linear model cannot, are saved, and predict") {
  const Folder folder;
  const parade::Random random{3, parade::Purpose::user};
  std::string text;  // of two pairs of features, one each is there: the label is whether it is the same one
  for (std::uint64_t i = 0; i < 400; ++i) {
    const auto a = random.below(2 * i, 2), b = random.below(2 * i + 1, 2);
    text += std::string(a == b ? "7" : "5") + ' ' + std::to_string(1 + a) + ":1 " + std::to_string(3 + b) + ":1\n";
  }
  write(folder.path / "t", text);
  struct Setting {
    std::string model, arguments;
    bool in_windows;
  };
  const auto setting = GENERATE(values<Setting>({{"linear", "--intercept", true},
                                                 {"fm", "--factors 4 --rate 0.5", true},
                                                 {"fm", "--loss softmax --rate 0.5", true},
                                                 {"mlp", "--hidden 16 --rate 0.5", true},
                                                 {"mlp", "--hidden 8,8 --optimizer lazy_adam --rate 0.05 --loss hinge", true},
                                                 {"mlp", "--dense --optimizer adam --rate 0.05", false}}));
  CAPTURE(setting.model, setting.arguments);
  const auto trained = [&](const std::string& more) {
    const auto [status, out, err] =
        run(folder, "--data t --test t --epochs 60 --batch 16 --json r --save m --model " + setting.model + ' ' + setting.arguments + more);
    CAPTURE(err);
    REQUIRE(status == 0);
    return result(folder);
  };
  const json one = trained(" --threads 1");
  CHECK(one["model"] == setting.model);
  CHECK((one["test_accuracy"].get<double>() > 0.999) == (setting.model != "linear"));
  CHECK(one["theta_hash"] == trained(" --threads 3")["theta_hash"]);
  if (setting.in_windows) CHECK(one["theta_hash"] == trained(" --memory 16")["theta_hash"]);
  REQUIRE(run(folder, "predict --model m --data t --output p").status == 0);
  double right = 0;
  const auto truth = lines(folder.path / "t"), answers = lines(folder.path / "p");
  REQUIRE(answers.size() == truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) right += answers[i] == truth[i].substr(0, 1);
  CHECK(std::abs(right / 400 - one["test_accuracy"].get<double>()) < 1e-12);
}

TEST_CASE("train: --memory that is too small is refused before the file is converted") {
  const Folder folder;
  std::string text;
  while (text.size() < 9'000'000) text += "1 1:0.5 2:1.5 3:2.5 7:3.5\n2 2:0.5 5:0.25\n";
  const std::string csv_text = [] {
    std::string rows = "a,b,c\n";
    while (rows.size() < 9'000'000) rows += "1,0.5,x\n2,1.5,y\n";
    return rows;
  }();
  write(folder.path / "t", text + "this is no row\n");
  write(folder.path / "t.csv", csv_text + "nor is,this\n");
  parade::write_npy(folder.path / "t.npy", parade::Matrix<float>::Ones(500, 4000).eval());
  const auto files = folder.files();
  for (const std::string arguments :
       {"--data t", "--data t.csv --format csv --label c", "--data t.npy --format npy --target 0 --loss squared"}) {
    CAPTURE(arguments);
    const auto [status, out, err] = run(folder, arguments + " --memory 1");
    CHECK(status == 2);
    CHECK_THAT(err, ContainsSubstring("--memory 1: memory must hold two windows of 1 block(s)"));
    CHECK(folder.files() == files);
  }
  CHECK_THAT(run(folder, "--data t --memory 16").err, ContainsSubstring("t: line "));
}

TEST_CASE("train: the progressive loss is printed when the number of rows has passed a power of two") {
  const Folder folder;
  write(folder.path / "train", libsvm({"0", "1"}, 100, 1));
  const auto [status, out, err] = run(folder, "--data train --epochs 2 --batch 10 --progressive --json r");
  REQUIRE(status == 0);
  std::vector<int> rows;
  std::vector<double> so_far;
  std::istringstream in(out);
  for (std::string line; std::getline(in, line);) {
    std::istringstream numbers(line);
    int seen, epoch;
    double since, total;
    if (numbers >> seen >> epoch >> since >> total && numbers.eof()) rows.push_back(seen), so_far.push_back(total);
  }
  CHECK(rows == std::vector<int>{10, 20, 40, 70, 130, 200});
  REQUIRE(!so_far.empty());
  CHECK(std::abs(so_far.front() - std::log(2.0)) < 1e-5);  // of the first batch, before any step: the weights are 0
  CHECK(so_far.back() < so_far.front());
  CHECK_THAT(run(folder, "--data train --epochs 1").out, !ContainsSubstring("loss so far"));
}

TEST_CASE("train: the JSON says what was done and what came of it") {
  const Folder folder;
  write(folder.path / "train", libsvm({"0", "1"}, 100, 1));
  REQUIRE(run(folder, "--data train --epochs 3 --batch 10 --seed 5 --threads 2 --l1 0.05 --json r").status == 0);
  const json r = result(folder);
  CHECK(r["rows"] == 100);
  CHECK(r["features"] == 20);
  CHECK(r["epochs"] == 3);
  CHECK(r["batch"] == 10);
  CHECK(r["seed"] == 5);
  CHECK(r["weights"] == 20);
  CHECK(r["nonzero_weights"].get<int>() < 20);
  CHECK(r["nonzeros"].get<int>() > 300);
  CHECK(r["train_objective"].get<double>() > r["train_loss"].get<double>());
  CHECK(r["seconds"].get<double>() > 0);
  CHECK(r["samples_per_second"].get<double>() > 0);
  CHECK(r["stop_reason"] == "completed");
  CHECK(!r.contains("test_accuracy"));
}

TEST_CASE("train: data that do not fit end with status 1 and a text that says where, or are counted") {
  const Folder folder;
  write(folder.path / "train", libsvm({"0", "1"}, 100, 1));
  const auto files = folder.files();
  std::string arguments, text;
  SECTION("no such file") { arguments = "--data nowhere", text = "nowhere"; }
  SECTION("a broken line") {
    write(folder.path / "broken", "1 1:1\n0 2:x\n");
    arguments = "--data broken", text = "broken: line 2, column 5";
  }
  SECTION("one label only") {
    write(folder.path / "one", "1 1:1\n1 2:1\n");
    arguments = "--data one", text = "2 different labels";
  }
  SECTION("no rows") {
    write(folder.path / "t.csv", "a,b\n");
    arguments = "--data t.csv --format csv --label b", text = "t.csv: must have at least 1 row; got 0";
  }
  SECTION("no features") {
    write(folder.path / "empty", "1\n0\n");
    arguments = "--data empty", text = "empty: must have at least 1 feature; got 0";
  }
  SECTION("a number that is missing") {
    write(folder.path / "t.csv", "a,b\n1,x\n?,y\n");
    arguments = "--data t.csv --format csv --label b", text = "t.csv: column 'a' must have a value in each row; it lacks 1 (--standardize";
  }
  SECTION("more rows a batch than there are") {
    arguments = "--data train --batch 101", text = "--batch must be at most 100, the rows there are";
  }
  SECTION("a test file that is not there") { arguments = "--data train --test nowhere", text = "nowhere: cannot be opened"; }
  SECTION("no such column") {
    write(folder.path / "t.csv", "a,b\n1,2\n");
    arguments = "--data t.csv --format csv --label c", text = "it has a, b";
  }
  SECTION("a column too far") {
    write(folder.path / "t.csv", "a,b\n1,2\n");
    arguments = "--data t.csv --format csv --label 2", text = "2 columns";
  }
  SECTION("a file that is no model") {
    parade::write_npz(folder.path / "m.npz", {{"weight", parade::Matrix<float>::Zero(1, 2).eval()}});
    arguments = "predict --model m.npz --data train --output p", text = "m.npz";
  }
  const auto [status, out, err] = run(folder, arguments + (arguments.starts_with("predict") ? "" : " --json r --save m"));
  CHECK(status == (arguments.find("--batch") == std::string::npos ? 1 : 2));
  CHECK_THAT(err, ContainsSubstring(text));
  for (const char* file : {"r", "m", "p"}) CHECK(!fs::exists(folder.path / file));
}

TEST_CASE("train: a test file that is of no use does not cost the model") {
  const Folder folder;
  write(folder.path / "train", libsvm({"0", "1"}, 100, 1));
  std::string text;
  SECTION("malformed") {
    write(folder.path / "test", "1 1:1\n0 2:x\n");
    text = "test: line 2, column 5";
  }
  SECTION("other labels only") {
    write(folder.path / "test", "7 1:1\n8 2:1\n");
    text = "--test: test must have labels that training had; all 2 are others, the first '7'; training had '0', '1'";
  }
  const auto [status, out, err] = run(folder, "--data train --test test --save m --json r");
  CHECK(status == 1);
  CHECK_THAT(err, ContainsSubstring(text));
  CHECK(!fs::exists(folder.path / "r"));
  CHECK(run(folder, "predict --model m --data train --output p").status == 0);
}

TEST_CASE("train: no file is written over one that is read, nor twice") {
  const Folder folder;
  const std::string text = libsvm({"0", "1"}, 100, 1);
  write(folder.path / "train", text);
  write(folder.path / "test", text);
  fs::create_symlink("train", folder.path / "link");
  REQUIRE(run(folder, "--data train --save m").status == 0);
  const std::string model = read(folder.path / "m");
  const auto files = folder.files();
  for (const auto& [arguments, options] : std::vector<std::pair<std::string, std::string>>{
           {"--data train --save train", "--save must name another file than --data"},
           {"--data train --json ./train", "--json must name another file than --data"},
           {"--data train --save link", "--save must name another file than --data"},
           {"--data train --test test --json test", "--json must name another file than --test"},
           {"--data train --save x --json ./x", "--json must name another file than --save"},
           {"predict --model m --data train --output m", "--output must name another file than --model"},
           {"predict --model m --data train --output train", "--output must name another file than --data"}}) {
    const auto [status, out, err] = run(folder, arguments);
    CAPTURE(arguments);
    CHECK(status == 2);
    CHECK_THAT(err, ContainsSubstring(options));
  }
  CHECK(folder.files() == files);
  CHECK(read(folder.path / "train") == text);
  CHECK(read(folder.path / "test") == text);
  CHECK(read(folder.path / "m") == model);
  CHECK_THAT(run(folder, "predict --model m --data train --output -").err, ContainsSubstring("--output must name a plain file"));
}

TEST_CASE("train: --skip-malformed leaves out what is no row, and counts it") {
  const Folder folder;
  const std::string rows = libsvm({"0", "1"}, 100, 1);
  write(folder.path / "train", rows);
  write(folder.path / "broken", "1 2:x\n" + rows + "0 5\n");
  CHECK(run(folder, "--data broken").status == 1);
  REQUIRE(run(folder, "--data train --json r").status == 0);
  const json expected = result(folder);
  CHECK(expected["skipped"] == 0);
  for (const std::string memory : {"", " --memory 64"}) {
    const auto [status, out, err] = run(folder, "--data broken --test broken --skip-malformed --json r" + memory);
    CAPTURE(memory, err);
    REQUIRE(status == 0);
    CHECK_THAT(out, ContainsSubstring("left out 2 malformed rows"));
    CHECK_THAT(err, ContainsSubstring("2 malformed rows were left out, the first: broken: line 1, column 5: found 'x'"));
    CHECK(result(folder)["skipped"] == 2);
    CHECK(result(folder)["theta_hash"] == expected["theta_hash"]);
    CHECK(result(folder)["test_rows"] == 100);
  }
  write(folder.path / "t.csv", "a,b\n1,x\n2,y,z\n3,y\n");
  for (const std::string memory : {"", " --memory 64"}) {
    REQUIRE(run(folder, "--data t.csv --format csv --label b --skip-malformed --json r" + memory).status == 0);
    CHECK(result(folder)["rows"] == 2);
    CHECK(result(folder)["skipped"] == 1);
  }
  CHECK(run(folder, "--data x.npy --format npy --label 0 --skip-malformed").status == 2);
}

TEST_CASE("train: the types of columns are told, and a column of numbers that one value makes text") {
  const Folder folder;
  std::string text = "age,job,y\n";
  for (int i = 0; i < 40; ++i) text += (i == 20 ? std::string("4O") : std::to_string(20 + i)) + (i % 3 == 0 ? ",cook,a\n" : ",smith,b\n");
  write(folder.path / "t.csv", text);
  for (const std::string memory : {"", " --memory 64"}) {
    const auto [status, out, err] = run(folder, "--data t.csv --format csv --label y" + memory);
    CAPTURE(memory);
    CHECK(status == 0);
    CHECK_THAT(out, ContainsSubstring("columns     age text (40), job text (2), y text (2)\n"));
    CHECK_THAT(err,
               ContainsSubstring("warning: column 'age' is taken as text because of '4O' in line 22: each of its 40 values is a category, "
                                 "though 39 of them are numbers"));
  }
  write(folder.path / "right.csv", std::regex_replace(text, std::regex("4O"), "40"));
  const auto right = run(folder, "--data right.csv --format csv --label y --standardize --save m");
  CHECK_THAT(right.out, ContainsSubstring("columns     age integer, job text (2), y text (2)\n"));
  CHECK(right.err.empty());
  write(folder.path / "new.csv", "age,job\n30,judge\n31,cook\n32,priest\n");
  CHECK_THAT(run(folder, "predict --model m --data new.csv --output p").out,
             ContainsSubstring("2 values of text that training did not have, taken as missing"));
}

TEST_CASE("train: a model that is worse than none is told") {
  const Folder folder;
  write(folder.path / "train", libsvm({"0", "1"}, 100, 1));
  CHECK(run(folder, "--data train").err.empty());
  std::string noise;
  for (int i = 0; i < 50; ++i) noise += "0 1:1\n1 1:1\n";
  write(folder.path / "noise", noise);
  const auto [status, out, err] = run(folder, "--data noise --rate 1e6 --schedule constant --epochs 1 --batch 1");
  CHECK(status == 0);
  CHECK_THAT(err,
             ContainsSubstring(
                 "warning: the loss of the model that is 0 everywhere, 0.693147, is less than that of this model: --rate may be too high"));
}

TEST_CASE("train: a file that is cut off during the training ends it with status 1, and the model of the last step") {
  const Folder folder;
  write(folder.path / "text", libsvm({"0", "1"}, 20000, 1));
  // With labels 0 and 1 it is trained on as it is.
  parade::write_cache(folder.path / "cache", parade::read_libsvm<float>(folder.path / "text").rows, {.rows_per_block = 1000});
  const auto [status, out, err] =
      run(folder,
          "--data cache --format cache --memory 1 --epochs 5000 --progressive --save m --json r >log & "
          "i=0; while [ $i -lt 1000 ] && ! grep -q 'so far' log; do i=$((i + 1)); sleep 0.02; done; truncate -s 100000 cache; wait $!");
  CAPTURE(err);
  CHECK(status == 1);
  CHECK_THAT(err, ContainsSubstring("cache: ") && ContainsSubstring("m holds the model as it was after the last step before this error"));
  CHECK(!fs::exists(folder.path / "r"));
  const auto predicted = run(folder, "predict --model m --data text --output p");
  CHECK(predicted.status == 1);  // of the format of the training file
  parade::write_cache(folder.path / "cache", parade::read_libsvm<float>(folder.path / "text").rows);
  CHECK(run(folder, "predict --model m --data cache --output p").status == 0);
}

TEST_CASE("train: features and labels that training did not have are counted") {
  const Folder folder;
  write(folder.path / "train", "0 1:1\n1 2:1\n0 1:1\n1 2:1\n");
  write(folder.path / "test", "0 1:1 3:4\n1 2:1\n2 7:1\n");
  const auto [status, out, err] = run(folder, "--data train --test test --batch 2 --json r");
  CAPTURE(err);
  REQUIRE(status == 0);
  CHECK_THAT(out, ContainsSubstring("left out 2 values of features"));
  CHECK_THAT(out, ContainsSubstring("1 labels that training did not have"));
  CHECK(std::abs(result(folder)["test_accuracy"].get<double>() - 2.0 / 3) < 1e-12);
  CHECK(result(folder)["test_loss"].is_null());

  // Labels that are text are not taken for missing ones.
  write(folder.path / "train.csv", "a,label\n1,no\n0,yes\n1,no\n0,yes\n");
  write(folder.path / "test.csv", "a,label\n1,no\n0,yes.\n1,other\n");
  REQUIRE(run(folder, "--data train.csv --format csv --label label --epochs 20 --rate 1 --intercept --batch 2 --save m").status == 0);
  const auto predicted = run(folder, "predict --model m --data test.csv --output p");
  CAPTURE(predicted.err);
  REQUIRE(predicted.status == 0);
  CHECK_THAT(predicted.out, ContainsSubstring("2 labels that training did not have (the first: yes.), counted as wrong"));
  CHECK_THAT(predicted.out, ContainsSubstring("accuracy 33.3333 %"));
  CHECK(read(folder.path / "p") == "no\nyes\nno\n");
}

TEST_CASE("train: a run that diverges ends with status 1, without a model") {
  const Folder folder;
  write(folder.path / "train", libsvm({"1", "2"}, 100, 1));
  const auto [status, out, err] = run(folder, "--data train --loss squared --rate 1e30 --save m --json r");
  CHECK(status == 1);
  CHECK(result(folder)["stop_reason"] == "diverged");
  CHECK(!fs::exists(folder.path / "m"));
}

TEST_CASE("train: files that cannot be written are refused before training") {
  const Folder folder;
  write(folder.path / "train", libsvm({"1", "2"}, 100, 1));
  for (const std::string option : {"--json", "--save"}) {
    const auto [status, out, err] = run(folder, "--data train " + option + " nowhere/x");
    CHECK(status == 1);
    CHECK(out.empty());
    CHECK_THAT(err, ContainsSubstring(option + ": cannot write 'nowhere/x'"));
  }
}
