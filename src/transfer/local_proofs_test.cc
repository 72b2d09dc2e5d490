#include "transfer/local_proofs.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hash/sha256.h"
#include "sources/file_source.h"
#include "sources/testing/fake_source.h"
#include "testing/faulty_file_system.h"
#include "testing/scratch_directory.h"
#include "transfer/transfer.h"
#include "transfer/verify.h"

namespace weighbridge::transfer {
namespace {

using base::Code;
using model::Method;
using model::Proof;
using model::Trust;
using sources::testing::Bytes;
using sources::testing::random_bytes;
using sources::testing::sealed_file;

constexpr std::uint64_t kPiece = hash::kPieceBytes;

// Keeps what is published, and with which proof. Thread-safe: pieces have places of their own.
class KeepingSink final : public Sink {
 public:
  explicit KeepingSink(std::size_t bytes) : bytes_(bytes) {}

  base::Result<std::span<std::byte>> place(const model::File&, base::Range piece) override {
    return std::span(bytes_).subspan(piece.begin, piece.size());
  }

  base::Result<void> landed(const model::File&, base::Range, std::span<const std::byte>) override {
    return {};
  }

  base::Result<void> publish(const model::File&, base::Range, Proof proof) override {
    proofs_.with([&](std::vector<Proof>& proofs) { proofs.push_back(proof); });
    return {};
  }

  void abandon(const model::File&, const base::Error&) override {}

  const Bytes& bytes() const { return bytes_; }

  std::vector<Proof> proofs() const {
    return proofs_.with([](const std::vector<Proof>& proofs) { return proofs; });
  }

 private:
  Bytes bytes_;
  sync::Guarded<std::vector<Proof>> proofs_;
};

class LocalProofsTest : public ::testing::Test {
 protected:
  LocalProofsTest() { write(bytes_); }

  void write(const Bytes& bytes) {
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }

  // One load in a process of its own, an hour after the file was written.
  base::Result<Report> load(model::File file,
                            base::Range range,
                            std::function<void(LocalProofs&)> prepare = {},
                            RunOptions options = {}) {
    store::Proofs store(*files_, scratch_ / "home");
    LocalProofs proofs(store);
    if (prepare) {
      prepare(proofs);
    }
    return load_with(proofs, std::move(file), range, options);
  }

  base::Result<Report> load_with(LocalProofs& proofs,
                                 model::File file,
                                 base::Range range,
                                 RunOptions options = {}) {
    FirstSeen first_seen;
    Transfer transfer(first_seen, 1, &proofs);
    const auto source =
        sources::open_file_source(*files_, model::Ref::parse(scratch_ / "model").value()).value();
    model::Snapshot snapshot;
    snapshot.files.push_back(std::move(file));
    const Want want{0, range};
    sink_ = std::make_unique<KeepingSink>(bytes_.size());
    Progress progress;
    return transfer.run(call_, {*source, snapshot, {&want, 1}}, *sink_, progress, options);
  }

  // Changes a byte behind the back of the kernel's time stamps: what hashing alone can notice.
  void damage_unseen() {
    bytes_[5] ^= std::byte{1};
    store::Proofs store(*files_, scratch_ / "home");
    const io::FileInfo before = files_->info(path_).value();
    const auto known = store.find(before).value();
    write(bytes_);
    ASSERT_TRUE(known.has_value());
    // The record that an unchanged file would have.
    const io::FileInfo after = files_->info(path_).value();
    const auto later = base::system_clock().wall_now() + std::chrono::hours(1);
    ASSERT_TRUE(store.remember(after, later, *known).value());
  }

  bool is_remembered() {
    store::Proofs store(*files_, scratch_ / "home");
    return store.find(files_->info(path_).value()).value().has_value();
  }

  // A clock an hour ahead: the file under it has settled.
  class LaterClock final : public base::Clock {
   public:
    base::TimePoint now() const override { return base::system_clock().now(); }

    base::WallTime wall_now() const override {
      return base::system_clock().wall_now() + std::chrono::hours(1);
    }

    bool wait(std::unique_lock<std::mutex>& lock,
              std::condition_variable_any& changed,
              base::TimePoint until,
              const std::stop_token& stop,
              const std::function<bool()>& ready) const override {
      return base::system_clock().wait(lock, changed, until, stop, ready);
    }
  };

  const testing::ScratchDirectory scratch_;
  const std::string path_ = [this] {
    std::filesystem::create_directory(scratch_ / "model");
    return scratch_ / "model/f";
  }();
  // Its files tell of every change, whatever this machine keeps temporary files in.
  const std::unique_ptr<io::FileSystem> disk_ = io::real_file_system();
  const std::unique_ptr<testing::FaultyFileSystem> files_ =
      std::make_unique<testing::FaultyFileSystem>(*disk_);
  const LaterClock clock_;
  const base::Call call_{clock_};
  Bytes bytes_ = random_bytes(3 * kPiece + 7, 1);
  const base::Range all_{0, bytes_.size()};
  std::unique_ptr<KeepingSink> sink_;
};

model::File only(const model::File& sealed, Method method) {
  model::File file = sealed;
  if (method != Method::kPieces) {
    file.pieces.clear();
  }
  if (method == Method::kSha256 || method == Method::kNothing) {
    file.root.reset();
  }
  if (method != Method::kSha256) {
    file.sha256.reset();
  }
  if (method == Method::kNothing) {
    file.trust = Trust::kNone;
  }
  return file;
}

class MethodsTest : public LocalProofsTest, public ::testing::WithParamInterface<Method> {};

TEST_P(MethodsTest, AFileHashedBeforeIsReadWithoutHashingAndHeldWithTheSameTrust) {
  const model::File file = only(sealed_file("f", bytes_, Trust::kOrigin), GetParam());
  ASSERT_TRUE(load(file, all_).ok());
  const Proof first = sink_->proofs().front();
  EXPECT_EQ(sink_->bytes(), bytes_);
  ASSERT_TRUE(is_remembered());
  damage_unseen();  // so that it shows whether the bytes are hashed
  ASSERT_TRUE(load(file, all_).ok());
  EXPECT_EQ(sink_->bytes(), bytes_);
  for (const Proof& proof : sink_->proofs()) {
    EXPECT_EQ(proof, first);
  }
}

TEST_P(MethodsTest, VerifyAlwaysHashesWhatWasHashedBefore) {
  const model::File file = only(sealed_file("f", bytes_, Trust::kOrigin), GetParam());
  ASSERT_TRUE(load(file, all_).ok());
  damage_unseen();
  const bool vouched = GetParam() != Method::kNothing;
  const auto always = load(file, all_, [](LocalProofs& proofs) { proofs.hash_always(); });
  EXPECT_EQ(always.ok(), !vouched);
  const auto once = load(file, all_, {}, {.hash_always = true});
  EXPECT_EQ(once.ok(), !vouched);
  if (vouched) {
    EXPECT_EQ(once.error().code(), Code::kCorrupt);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All,
    MethodsTest,
    ::testing::Values(Method::kPieces, Method::kRoot, Method::kSha256, Method::kNothing));

TEST_F(LocalProofsTest, ASealThatNamesAnotherRootIsHeldToTheBytes) {
  ASSERT_TRUE(load(sealed_file("f", bytes_, Trust::kOrigin), all_).ok());
  const Bytes others = random_bytes(bytes_.size(), 2);
  const auto result = load(sealed_file("f", others, Trust::kPinned), all_);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kCorrupt);
}

TEST_F(LocalProofsTest, ASha256ThatWasNeverComputedHereIsNotBelieved) {
  const model::File sealed = sealed_file("f", bytes_, Trust::kOrigin);
  ASSERT_TRUE(load(only(sealed, Method::kPieces), all_).ok());
  ASSERT_TRUE(is_remembered());
  damage_unseen();
  EXPECT_EQ(load(only(sealed, Method::kSha256), all_).error().code(), Code::kCorrupt);
}

TEST_F(LocalProofsTest, AFileThatHasChangedIsHashedAgain) {
  const model::File file = sealed_file("f", bytes_, Trust::kOrigin);
  ASSERT_TRUE(load(file, all_).ok());
  bytes_[kPiece] ^= std::byte{1};
  write(bytes_);
  EXPECT_EQ(load(file, all_).error().code(), Code::kCorrupt);
}

TEST_F(LocalProofsTest, AFileWhoseTimesMayNotTellOfAWriteIsNotRemembered) {
  files_->pretend({.tells_changes = false});
  for (const Method method : {Method::kPieces, Method::kSha256}) {
    ASSERT_TRUE(load(only(sealed_file("f", bytes_, Trust::kOrigin), method), all_).ok());
    EXPECT_FALSE(is_remembered());
  }
}

TEST_F(LocalProofsTest, PiecesOfSeveralRunsMakeAWholeFile) {
  store::Proofs store(*files_, scratch_ / "home");
  LocalProofs proofs(store);
  const model::File file = sealed_file("f", bytes_, Trust::kOrigin);
  ASSERT_TRUE(load_with(proofs, file, {0, 1}).ok());
  EXPECT_FALSE(is_remembered());
  ASSERT_TRUE(load_with(proofs, file, {kPiece, bytes_.size()}).ok());
  EXPECT_TRUE(is_remembered());
}

TEST_F(LocalProofsTest, PiecesOfTwoRevisionsNeverMakeAFile) {
  store::Proofs store(*files_, scratch_ / "home");
  LocalProofs proofs(store);
  const model::File file = only(sealed_file("f", bytes_, Trust::kOrigin), Method::kNothing);
  ASSERT_TRUE(load_with(proofs, file, {0, 1}).ok());
  bytes_.back() ^= std::byte{1};
  write(bytes_);
  std::filesystem::last_write_time(
      path_, std::filesystem::last_write_time(path_) + std::chrono::seconds(1));
  ASSERT_TRUE(load_with(proofs, file, {kPiece, bytes_.size()}).ok());
  EXPECT_FALSE(is_remembered());
}

TEST_F(LocalProofsTest, AHomeThatCannotBeWrittenCostsOnlyTheMemory) {
  std::ofstream(scratch_ / "home") << "no directory";
  store::Proofs store(*files_, scratch_ / "home");
  LocalProofs proofs(store);
  EXPECT_TRUE(load_with(proofs, sealed_file("f", bytes_, Trust::kOrigin), all_).ok());
  EXPECT_EQ(sink_->bytes(), bytes_);
  EXPECT_TRUE(proofs.note().has_value());
}

TEST_F(LocalProofsTest, WhatVerifyReadsIsHashedThoughItIsKnown) {
  const model::File file = sealed_file("f", bytes_, Trust::kOrigin);
  ASSERT_TRUE(load(file, all_).ok());
  damage_unseen();
  store::Proofs store(*files_, scratch_ / "home");
  LocalProofs proofs(store);
  FirstSeen first_seen;
  Transfer transfer(first_seen, 1, &proofs);
  const auto source =
      sources::open_file_source(*files_, model::Ref::parse(scratch_ / "model").value()).value();
  model::Snapshot snapshot;
  snapshot.listed = true;
  snapshot.files.push_back(file);
  Progress progress;
  EXPECT_EQ(verify(call_, *source, snapshot, transfer, progress).value().failed.size(), 1U);
}

}  // namespace
}  // namespace weighbridge::transfer
