#include "loader/loader.h"

#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "formats/seal.h"
#include "formats/testing/safetensors_writer.h"
#include "hash/sha256.h"
#include "sources/testing/fake_source.h"
#include "testing/manual_clock.h"
#include "transfer/explanation.h"
#include "transfer/make_seal.h"
#include "transfer/resolve.h"

namespace weighbridge::loader {
namespace {

using base::Code;
using base::Result;
using formats::testing::bytes_of_tensor;
using formats::testing::MadeTensor;
using formats::testing::make_safetensors;
using model::Trust;
using sources::testing::FakeSource;
using ::testing::HasSubstr;

class LoaderTest : public ::testing::Test {
 protected:
  void add_model(const std::string& path, const std::vector<MadeTensor>& tensors) {
    source_.files[path] = make_safetensors(tensors);
    for (const MadeTensor& tensor : tensors) {
      expected_[tensor.name] = bytes_of_tensor(tensor);
    }
  }

  // Puts the seal beside the files, as `weighbridge seal` does; returns its SHA-256.
  std::string seal() {
    transfer::Progress progress;
    auto listing = source_.list(call_);
    auto seal = transfer::make_seal(call_, source_, **listing, progress);
    EXPECT_TRUE(seal.ok()) << seal.error().message();
    source_.seal_bytes = formats::write_seal(*seal).value();
    return hash::Sha256::of(*source_.seal_bytes).hex();
  }

  Result<std::unique_ptr<Loader>> open(LoadOptions options = {}, const std::string& pin = "") {
    const std::string file = source_.single.empty() ? "" : source_.single;
    auto ref = model::Ref::parse("http://fake/" + file + pin);
    EXPECT_TRUE(ref.ok());
    return Loader::open(call_, {source_, transfer_, pool_}, *ref, std::move(options));
  }

  // Opens and takes everything; checks every byte against what was made.
  Result<std::map<std::string, Tensor>> load(LoadOptions options = {},
                                             const std::string& pin = "") {
    auto loader = TRY(open(std::move(options), pin));
    std::map<std::string, Tensor> tensors;
    for (Tensor& tensor : TRY(loader->all(call_))) {
      const std::string name(tensor.name());
      EXPECT_TRUE(std::ranges::equal(tensor.bytes(), expected_.at(name))) << name;
      EXPECT_TRUE(tensors.emplace(name, tensor).second) << "handed over twice";
    }
    report_ = loader->report();
    return tensors;
  }

  testing::ManualClock clock_{testing::ManualClock::Waits::kJumpToTheirEnd};
  base::Call call_{clock_};
  device::HostPool pool_{0};
  FakeSource source_;
  transfer::FirstSeen first_seen_;
  transfer::Transfer transfer_{first_seen_, 1};
  std::map<std::string, std::vector<std::byte>> expected_;
  LoadReport report_;
};

TEST_F(LoaderTest, every_tensor_of_a_sealed_model_arrives_proved_by_its_origin) {
  add_model("model.safetensors", {{"a", 5'000'000}, {"b", 0}, {"c", 17}, {"d", 3'000'000}});
  seal();
  const auto tensors = load();
  ASSERT_TRUE(tensors.ok()) << tensors.error().message();
  EXPECT_EQ(tensors->size(), 4U);
  EXPECT_EQ(report_.tensors, 4U);
  EXPECT_EQ(report_.bytes, 8'000'017U);
  EXPECT_EQ(report_.proof_bytes.at(Trust::kOrigin), 8'000'017U);
  EXPECT_TRUE(report_.content_id.has_value());
}

TEST_F(LoaderTest, a_pinned_seal_proves_as_pinned) {
  add_model("model.safetensors", {{"a", 2'000'000}});
  const std::string digest = seal();
  ASSERT_TRUE(load({}, "#sha256=" + digest).ok());
  EXPECT_EQ(report_.proof_bytes.at(Trust::kPinned), 2'000'000U);
}

TEST_F(LoaderTest, another_seal_than_the_pinned_one_is_refused_with_both_digests) {
  add_model("model.safetensors", {{"a", 2'000'000}});
  const std::string digest = seal();
  const auto tensors = load({}, "#sha256=" + std::string(64, '0'));
  ASSERT_FALSE(tensors.ok());
  EXPECT_EQ(tensors.error().code(), Code::kCorrupt);
  EXPECT_THAT(tensors.error().message(), HasSubstr(digest));
}

TEST_F(LoaderTest, a_pinned_seal_that_is_missing_is_an_error) {
  add_model("model.safetensors", {{"a", 10}});
  const auto tensors = load({}, "#sha256=" + std::string(64, '0'));
  ASSERT_FALSE(tensors.ok());
  EXPECT_EQ(tensors.error().code(), Code::kNotFound);
}

TEST_F(LoaderTest, a_file_pinned_by_its_sha256_is_handed_over_once_it_matches) {
  add_model("m.safetensors", {{"a", 5'000'000}, {"b", 10}});
  source_.single = "m.safetensors";
  const std::string digest = hash::Sha256::of(source_.files["m.safetensors"]).hex();
  const auto tensors = load({}, "#sha256=" + digest);
  ASSERT_TRUE(tensors.ok()) << tensors.error().message();
  EXPECT_EQ(tensors->at("a").proof(), (model::Proof{Trust::kPinned, model::Method::kSha256}));
  EXPECT_TRUE(report_.content_id.has_value());
}

TEST_F(LoaderTest, a_filter_on_a_file_with_only_a_sha256_reads_all_of_it) {
  add_model("m.safetensors", {{"a", 5'000'000}, {"b", 10}});
  source_.single = "m.safetensors";
  const std::string digest = hash::Sha256::of(source_.files["m.safetensors"]).hex();
  const auto tensors = load({{"b"}}, "#sha256=" + digest);
  ASSERT_TRUE(tensors.ok()) << tensors.error().message();
  EXPECT_EQ(tensors->size(), 1U);
  EXPECT_GE(source_.delivered_bytes(), source_.files["m.safetensors"].size());
}

TEST_F(LoaderTest, a_file_that_misses_its_pinned_sha256_hands_over_nothing) {
  add_model("m.safetensors", {{"a", 5'000'000}});
  source_.single = "m.safetensors";
  auto loader = open({}, "#sha256=" + std::string(64, '0'));
  ASSERT_TRUE(loader.ok()) << loader.error().message();
  const auto first = (*loader)->next(call_);
  ASSERT_FALSE(first.ok());
  EXPECT_EQ(first.error().code(), Code::kCorrupt);
  EXPECT_EQ((*loader)->report().tensors, 0U);
}

TEST_F(LoaderTest, a_file_pinned_by_its_root_is_handed_over_once_it_matches) {
  add_model("m.safetensors", {{"a", 5'000'000}});
  source_.single = "m.safetensors";
  const std::string root = hash::hash_bytes(source_.files["m.safetensors"]).hex();
  const auto tensors = load({}, "#blake3=" + root);
  ASSERT_TRUE(tensors.ok()) << tensors.error().message();
  EXPECT_EQ(tensors->at("a").proof(), (model::Proof{Trust::kPinned, model::Method::kRoot}));
}

TEST_F(LoaderTest, a_header_hurt_on_its_way_places_no_tensor_of_a_pinned_file) {
  add_model("m.safetensors", {{"a", 5'000'000}, {"b", 5'000}});
  source_.single = "m.safetensors";
  const sources::testing::Bytes& bytes = source_.files["m.safetensors"];
  const std::vector<std::string> pins = {"#sha256=" + hash::Sha256::of(bytes).hex(),
                                         "#blake3=" + hash::hash_bytes(bytes).hex()};
  for (const std::string& pin : pins) {
    const std::size_t first_read = source_.reads().size();
    source_.fault = [first_read](const FakeSource::Read& read) {
      FakeSource::Fault fault;
      // The name "a" becomes a "`": the header stays well-formed, and is another one.
      fault.flip = read.number == first_read ? std::optional<std::uint64_t>(10) : std::nullopt;
      return fault;
    };
    auto loader = open({}, pin);
    ASSERT_TRUE(loader.ok()) << loader.error().message();
    const auto tensor = (*loader)->next(call_);
    ASSERT_FALSE(tensor.ok());
    EXPECT_EQ(tensor.error().code(), Code::kCorrupt);
    EXPECT_THAT(tensor.error().message(), HasSubstr("header"));
    EXPECT_EQ((*loader)->report().tensors, 0U);
    loader->reset();
    EXPECT_TRUE(load({}, pin).ok()) << "the next load owes nothing to the one before";
  }
}

TEST_F(LoaderTest, a_seal_beside_lends_its_pieces_to_a_pinned_root) {
  add_model("m.safetensors", {{"a", 5'000'000}});
  seal();
  source_.single = "m.safetensors";
  const std::string root = hash::hash_bytes(source_.files["m.safetensors"]).hex();
  const auto tensors = load({}, "#blake3=" + root);
  ASSERT_TRUE(tensors.ok()) << tensors.error().message();
  EXPECT_EQ(tensors->at("a").proof(), (model::Proof{Trust::kPinned, model::Method::kPieces}));
}

TEST_F(LoaderTest, a_file_named_alone_uses_the_seal_beside_it) {
  add_model("m.safetensors", {{"a", 5'000'000}});
  add_model("n.safetensors", {{"x", 1}});
  seal();
  source_.single = "m.safetensors";
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(report_.proof_bytes.at(Trust::kOrigin), 5'000'000U);
}

TEST_F(LoaderTest, a_file_that_the_seal_beside_it_omits_is_an_error) {
  add_model("m.safetensors", {{"a", 5}});
  seal();
  add_model("new.safetensors", {{"n", 5}});
  source_.single = "new.safetensors";
  const auto tensors = load();
  ASSERT_FALSE(tensors.ok());
  EXPECT_EQ(tensors.error().code(), Code::kNotFound);
}

TEST_F(LoaderTest, a_root_does_not_pin_a_directory) {
  add_model("model.safetensors", {{"a", 5}});
  const auto tensors = load({}, "#blake3=" + std::string(64, '0'));
  ASSERT_FALSE(tensors.ok());
  EXPECT_EQ(tensors.error().code(), Code::kInvalid);
}

TEST_F(LoaderTest, unsealed_bytes_are_first_seen_and_give_a_content_id_once_all_are_read) {
  add_model("model.safetensors", {{"a", 3'000'000}});
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(report_.proof_bytes.at(Trust::kFirstSeen), 3'000'000U);
  const auto unsealed = report_.content_id;
  seal();
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(unsealed, report_.content_id) << "the same from every source";
}

TEST_F(LoaderTest, the_content_id_is_unknown_while_a_file_is_unread) {
  add_model("model.safetensors", {{"a", 3'000'000}});
  source_.files["config.json"] = {std::byte{'x'}};
  ASSERT_TRUE(load().ok());
  EXPECT_FALSE(report_.content_id.has_value());
}

TEST_F(LoaderTest, a_model_of_many_files_arrives_whole_and_keeps_few_fronts_in_memory) {
  for (int i = 0; i < 40; ++i) {
    const std::string name = std::to_string(i);
    add_model("s" + name + ".safetensors",
              {{"empty" + name, 0}, {"t" + name, 1'500'000}, {"end" + name, 5}});
  }
  seal();
  auto loader = open();
  ASSERT_TRUE(loader.ok()) << loader.error().message();
  ASSERT_TRUE((*loader)->all(call_).ok());
  auto snapshot = transfer::resolve(call_, source_, model::Ref::parse("http://fake/").value());
  ASSERT_TRUE(snapshot.ok());
  const auto index = index::Index::open(call_, transfer_, source_, std::move(snapshot).value());
  ASSERT_TRUE(index.ok());
  std::size_t kept = 0;
  for (const index::IndexedFile& file : index->files()) {
    kept += file.prefix.span().size();
  }
  EXPECT_LE(kept, 16 * base::kMiB);
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(report_.tensors, 120U);
}

TEST_F(LoaderTest, a_filter_reads_only_what_it_wants) {
  add_model("model.safetensors",
            {{"l.0.w", 4'000'000}, {"l.1.w", 4'000'000}, {"l.2.w", 4'000'000}});
  seal();
  const std::uint64_t before = source_.delivered_bytes();
  const auto tensors = load({{"l.1.*"}});
  ASSERT_TRUE(tensors.ok()) << tensors.error().message();
  EXPECT_EQ(tensors->size(), 1U);
  EXPECT_LE(source_.delivered_bytes() - before, 4'000'000 + 3 * base::kMiB);
}

TEST_F(LoaderTest, scattered_small_tensors_are_packed) {
  std::vector<MadeTensor> made;
  LoadOptions options;
  for (int i = 0; i < 20; ++i) {
    made.push_back({"big." + std::to_string(i), 2'100'000});
    made.push_back({"small." + std::to_string(i), 1000});
  }
  add_model("model.safetensors", made);
  seal();
  const auto tensors = load({{"small.*"}});
  ASSERT_TRUE(tensors.ok()) << tensors.error().message();
  EXPECT_EQ(tensors->size(), 20U);
  const auto* first = tensors->at("small.0").bytes().data();
  const auto* last = tensors->at("small.19").bytes().data();
  EXPECT_LT(std::max(first, last) - std::min(first, last), 40'000);
}

TEST_F(LoaderTest, a_filter_that_matches_nothing_is_an_error_that_names_it) {
  add_model("model.safetensors", {{"a", 5}});
  const auto tensors = load({{"a", "nope*"}});
  ASSERT_FALSE(tensors.ok());
  EXPECT_EQ(tensors.error().code(), Code::kNotFound);
  EXPECT_THAT(tensors.error().message(), HasSubstr("nope*"));
}

TEST_F(LoaderTest, tensors_outlive_their_loader) {
  add_model("model.safetensors", {{"a", 3'000'000}, {"b", 3'000'000}});
  seal();
  std::map<std::string, Tensor> kept;
  {
    auto tensors = load();
    ASSERT_TRUE(tensors.ok());
    kept = std::move(tensors).value();
  }
  kept.erase("a");
  EXPECT_TRUE(std::ranges::equal(kept.at("b").bytes(), expected_.at("b")));
}

TEST_F(LoaderTest, tensors_stand_in_the_phase_of_their_file) {
  add_model("model.safetensors", {{"a", 5'000'001}, {"b", 3'000'000}});
  seal();
  const auto tensors = load();
  ASSERT_TRUE(tensors.ok());
  const auto address = reinterpret_cast<std::uintptr_t>(tensors->at("b").bytes().data());
  const std::uint64_t offset = source_.files["model.safetensors"].size() - 3'000'000;
  EXPECT_EQ(address % device::kHugePageBytes, offset % device::kHugePageBytes);
}

TEST_F(LoaderTest, tensors_before_a_broken_one_arrive_and_then_the_error_again_and_again) {
  add_model("model.safetensors", {{"a", 2'000'000}, {"b", 6'000'000}});
  seal();
  source_.connections = 1;
  source_.files["model.safetensors"].back() ^= std::byte{1};
  auto loader = open();
  ASSERT_TRUE(loader.ok());
  const auto first = (*loader)->next(call_);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ((*first)->name(), "a");
  EXPECT_EQ((*loader)->next(call_).error().code(), Code::kCorrupt);
  EXPECT_EQ((*loader)->next(call_).error().code(), Code::kCorrupt);
}

TEST_F(LoaderTest, dropping_a_loader_stops_it) {
  add_model("model.safetensors", {{"a", 30'000'000}});
  seal();
  auto loader = open();
  ASSERT_TRUE(loader.ok());
  loader->reset();
}

TEST_F(LoaderTest, shards_arrive_as_one_model) {
  add_model("x.safetensors", {{"a", 3'000'000}, {"b", 10}});
  add_model("y.safetensors", {{"c", 3'000'000}});
  seal();
  const auto tensors = load();
  ASSERT_TRUE(tensors.ok());
  EXPECT_EQ(tensors->size(), 3U);
  EXPECT_EQ(tensors->at("c").file(), "y.safetensors");
}

// --------------------------------------------------------------------------------- bounded memory

constexpr std::uint64_t kMemory = 16 * base::kMiB;

class BoundedLoadTest : public LoaderTest {
 protected:
  // Some three times what may be held, in tensors of half a MiB to 3 MiB.
  void add_large_model() {
    std::vector<MadeTensor> tensors;
    for (std::uint64_t i = 0; i < 30; ++i) {
      tensors.push_back({"t" + std::to_string(i), 500'000 + i % 6 * 500'000});
    }
    add_model("model.safetensors", tensors);
  }

  // Takes and drops all, checking each.
  Result<std::size_t> stream(LoadOptions options, const std::string& pin = "") {
    auto loader = TRY(open(std::move(options), pin));
    std::size_t count = 0;
    while (auto tensor = TRY(loader->next(call_))) {
      EXPECT_TRUE(std::ranges::equal(tensor->bytes(), expected_.at(std::string(tensor->name()))));
      ++count;
    }
    report_ = loader->report();
    return count;
  }

  std::string pin_of(const std::string& file) {
    source_.single = file;
    return "#sha256=" + hash::Sha256::of(source_.files[file]).hex();
  }
};

TEST_F(BoundedLoadTest, a_model_larger_than_the_memory_comes_to_who_drops_each_tensor) {
  add_large_model();
  seal();
  const auto count = stream({.memory_bytes = kMemory});
  ASSERT_TRUE(count.ok()) << count.error().message();
  EXPECT_EQ(*count, 30U);
  EXPECT_TRUE(report_.transfer.explanation->read_twice.empty());
}

TEST_F(BoundedLoadTest, no_more_is_requested_than_fits_beside_what_was_taken) {
  add_large_model();
  seal();
  const std::uint64_t before = source_.delivered_bytes();
  auto loader = open({.memory_bytes = kMemory});
  ASSERT_TRUE(loader.ok()) << loader.error().message();
  std::uint64_t taken = 0;
  while (true) {
    // The header was looked at; and a slab may be let go of whose last tensor reaches into a piece.
    EXPECT_LE(source_.delivered_bytes() - before, taken + kMemory + 3 * base::kMiB);
    auto tensor = (*loader)->next(call_);
    ASSERT_TRUE(tensor.ok()) << tensor.error().message();
    if (!*tensor) {
      break;
    }
    taken += (*tensor)->bytes().size();
  }
}

TEST_F(BoundedLoadTest, tensors_that_are_held_are_the_takers_and_bound_nothing) {
  add_large_model();
  seal();
  const auto tensors = load({.memory_bytes = kMemory});
  ASSERT_TRUE(tensors.ok()) << tensors.error().message();
  EXPECT_EQ(tensors->size(), 30U);
}

TEST_F(BoundedLoadTest, a_tensor_larger_than_the_memory_comes_alone) {
  add_model("model.safetensors", {{"a", 3'000'000}, {"huge", 40'000'000}, {"z", 3'000'000}});
  seal();
  const auto count = stream({.memory_bytes = kMemory});
  ASSERT_TRUE(count.ok()) << count.error().message();
  EXPECT_EQ(*count, 3U);
}

TEST_F(BoundedLoadTest, scattered_tensors_are_packed_within_it) {
  std::vector<MadeTensor> made;
  for (int i = 0; i < 20; ++i) {
    made.push_back({"big." + std::to_string(i), 2'100'000});
    made.push_back({"small." + std::to_string(i), 700'000});
  }
  add_model("model.safetensors", made);
  seal();
  const auto count = stream({.filters = {"small.*"}, .memory_bytes = 4 * base::kMiB});
  ASSERT_TRUE(count.ok()) << count.error().message();
  EXPECT_EQ(*count, 20U);
}

TEST_F(BoundedLoadTest, a_file_that_only_a_sha256_proves_and_does_not_fit_is_read_twice) {
  add_large_model();
  const std::string pin = pin_of("model.safetensors");
  const std::uint64_t file_bytes = source_.files["model.safetensors"].size();
  const auto count = stream({.memory_bytes = kMemory}, pin);
  ASSERT_TRUE(count.ok()) << count.error().message();
  EXPECT_EQ(*count, 30U);
  EXPECT_EQ(report_.transfer.explanation->read_twice,
            std::vector<std::string>{"fake://model.safetensors"});
  EXPECT_GE(source_.delivered_bytes(), 2 * file_bytes);
  const std::uint64_t before = source_.delivered_bytes();
  ASSERT_TRUE(stream({.memory_bytes = kMemory}, pin).ok());
  EXPECT_TRUE(report_.transfer.explanation->read_twice.empty()) << "its tree is known now";
  EXPECT_LT(source_.delivered_bytes() - before, file_bytes + 4 * base::kMiB);
}

TEST_F(BoundedLoadTest, a_root_without_pieces_is_read_twice_as_well) {
  add_large_model();
  source_.single = "model.safetensors";
  const std::string root = hash::hash_bytes(source_.files["model.safetensors"]).hex();
  ASSERT_TRUE(stream({.memory_bytes = kMemory}, "#blake3=" + root).ok());
  EXPECT_EQ(report_.transfer.explanation->read_twice.size(), 1U);
}

TEST_F(BoundedLoadTest, an_origin_without_ranges_waits_in_the_middle_of_its_answer) {
  add_large_model();
  seal();
  source_.has_ranges = false;
  const auto count = stream({.memory_bytes = kMemory});
  ASSERT_TRUE(count.ok()) << count.error().message();
  EXPECT_EQ(*count, 30U);
}

TEST_F(BoundedLoadTest, a_failure_ends_a_load_whose_memory_is_full) {
  add_large_model();
  seal();
  source_.files["model.safetensors"].back() ^= std::byte{1};
  const auto count = stream({.memory_bytes = kMemory});
  ASSERT_FALSE(count.ok());
  EXPECT_EQ(count.error().code(), Code::kCorrupt);
}

TEST_F(BoundedLoadTest, a_load_that_nobody_takes_from_can_be_dropped) {
  add_large_model();
  seal();
  auto loader = open({.memory_bytes = kMemory});
  ASSERT_TRUE(loader.ok());
  ASSERT_TRUE((*loader)->next(call_).ok());
  loader->reset();
}

TEST_F(LoaderTest, the_second_load_of_a_content_named_by_sha256_is_proved_by_pieces) {
  add_model("m.safetensors", {{"a", 5'000'000}, {"b", 3'000'000}, {"c", 5'000'000}});
  source_.single = "m.safetensors";
  const std::string pin = "#sha256=" + hash::Sha256::of(source_.files["m.safetensors"]).hex();
  ASSERT_TRUE(load({}, pin).ok());
  const auto id = report_.content_id;
  const std::uint64_t before = source_.delivered_bytes();
  const auto again = load({{"b"}}, pin);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(again->at("b").proof(), (model::Proof{Trust::kPinned, model::Method::kPieces}));
  EXPECT_LT(source_.delivered_bytes() - before, 6'000'000U);
  EXPECT_EQ(report_.content_id, id);
  source_.files["m.safetensors"].back() ^= std::byte{1};
  const auto hurt = load({}, pin);
  ASSERT_FALSE(hurt.ok());
  EXPECT_EQ(hurt.error().code(), Code::kCorrupt);
  EXPECT_THAT(hurt.error().message(), HasSubstr("as read before"));
  EXPECT_EQ(hurt.error().file(), "fake://m.safetensors");
}

}  // namespace
}  // namespace weighbridge::loader
