// How an upload goes on after something went wrong. The registry alone knows where an upload
// stands, so it is asked (resync) before anything is sent again, and the answer decides: some bytes
// arrived, so it goes on behind them; the upload is gone, so another begins; nothing moved, so the
// loop waits and, after some tries, gives up. Whatever brings bytes to the registry starts that
// count anew. What an answer teaches (no PATCH, smaller chunks) is no failure: the plan is made
// again from what is known then.

#include "pack/blob_upload.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "base/units.h"

namespace weighbridge::pack {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;
using registry::UploadPlan;

// So often a registry may teach us better within one blob: from the largest chunk to the smallest.
constexpr unsigned kMostLessons = 40;
// A registry that does not answer is not waited for to throw an upload away.
constexpr std::chrono::seconds kCancelTime{5};

// Some of a blob, as the body of a request. Confined to the thread that sends it.
class Chunk final : public base::BodySource {
 public:
  Chunk(BlobBytes& bytes, std::uint64_t size, transfer::Progress& progress)
      : bytes_(bytes), size_(size), left_(size), progress_(progress) {}

  std::uint64_t size_bytes() const override { return size_; }

  Result<base::BodyPart> next(const Call& call) override {
    auto part = bytes_.next(call, left_);
    failed_ = !part.ok();
    if (part.ok()) {
      const auto* const file = std::get_if<base::FilePart>(&*part);
      const std::uint64_t size =
          file != nullptr ? file->bytes : std::get<std::span<const std::byte>>(*part).size();
      left_ -= size;
      progress_.received_bytes += size;
    }
    return part;
  }

  // The bytes themselves could not be had: no matter of the registry.
  bool failed() const { return failed_; }

 private:
  BlobBytes& bytes_;
  const std::uint64_t size_;
  std::uint64_t left_;
  transfer::Progress& progress_;
  bool failed_ = false;
};

// Confined to the thread that uploads.
class Uploader {
 public:
  Uploader(const BlobTarget& target, const std::string& name, BlobBytes& bytes, KeptUpload* kept)
      : target_(target), client_(target.client), name_(name), bytes_(bytes), kept_(kept) {}

  Result<UploadedBlob> run(const Call& call) {
    take_up(call);
    for (;;) {
      auto done = target_.patience.run(call, name_, [&] { return attempt(call); });
      if (!done.ok()) {
        let_go(call, done.error());
        return std::move(done).error();
      }
      if (*done) {
        if (kept_ != nullptr) {
          kept_->forget();
        }
        return std::move(**done);
      }
    }
  }

 private:
  // Done, or nothing if there is something new to go on from.
  using Step = std::optional<UploadedBlob>;

  // What an earlier process left.
  void take_up(const Call& call) {
    if (kept_ == nullptr) {
      return;
    }
    if (const auto outdated = kept_->outdated()) {
      (void)client_.cancel(call.within(kCancelTime), *outdated);
      kept_->forget();
    }
    upload_ = kept_->found();
    lost_track_ = upload_.has_value();
  }

  Result<Step> attempt(const Call& call) {
    const registry::Capabilities before = client_.capabilities();
    bytes_failed_ = false;
    auto once = once_through(call);
    if (once.ok()) {
      return once;
    }
    Error error = std::move(once).error();
    TRY(call.check());
    if (bytes_failed_) {
      return final(std::move(error));
    }
    lost_track_ = true;
    if (client_.capabilities() != before && ++lessons_ < kMostLessons && is_lesson(error)) {
      return Step();
    }
    if (!base::facts(error.code()).retry && error.code() != Code::kConflict) {
      return error;
    }
    if (const auto moved = where_it_stands(call); !moved.ok()) {
      return error;  // what happened first says more
    }
    if (upload_ && upload_->offset > arrived_) {
      arrived_ = upload_->offset;
      return Step();
    }
    // The offset was not what the registry has: now it is.
    return error.code() == Code::kConflict ? std::move(error).with_code(Code::kUnavailable)
                                           : std::move(error);
  }

  static bool is_lesson(const Error& error) {
    return error.code() == Code::kUnsupported || error.code() == Code::kConflict;
  }

  // Not to be tried again, whatever its code.
  static Error final(Error error) {
    const bool retried = base::facts(error.code()).retry;
    return retried ? std::move(error).with_code(Code::kIo) : std::move(error);
  }

  Result<void> where_it_stands(const Call& call) {
    if (!upload_ || !lost_track_) {
      return {};
    }
    auto asked = client_.resync(call, *upload_);
    if (asked.ok() && upload_->offset <= bytes_.size()) {
      lost_track_ = false;
      return {};
    }
    const bool gone = asked.ok() || !base::facts(asked.error().code()).retry;
    if (gone) {
      forget_upload();
      return {};
    }
    return asked;
  }

  Result<Step> once_through(const Call& call) {
    TRY(where_it_stands(call));
    if (upload_ && upload_->offset > 0 && !client_.capabilities().patch) {
      throw_away(call);
    }
    if (upload_ && upload_->offset > 0) {
      return patch(call, registry::plan_upload(client_.capabilities(), bytes_.size(), false));
    }
    if (bytes_.digest()) {
      if (auto there = TRY(without_sending(call))) {
        return Step(std::move(there));
      }
    }
    const auto known = client_.capabilities();
    const UploadPlan plan =
        registry::plan_upload(known, bytes_.size(), bytes_.digest().has_value());
    switch (plan.way) {
      case UploadPlan::Way::kTooLarge:
        return Error(Code::kExhausted,
                     fmt::format("{} takes no layer of {}",
                                 client_.host(),
                                 base::format_bytes(bytes_.size())))
            .with_hint(
                "Push again: what was learned of the registry is remembered, and the file is then "
                "split.");
      case UploadPlan::Way::kHashFirst:
        TRY(read(bytes_.seek(call, bytes_.size())));
        TRY(read(bytes_.finish(call)));
        return Step();
      case UploadPlan::Way::kMonolithic:
        return put(call);
      case UploadPlan::Way::kPatch:
        return patch(call, plan);
    }
    return Error(Code::kInternal, "an upload without a plan");
  }

  // By its digest: it is there, or another repository has it.
  Result<Step> without_sending(const Call& call) {
    const registry::Digest digest = *bytes_.digest();
    if (asked_) {
      return Step();
    }
    const auto size = TRY(client_.head_blob(call, target_.repository, digest));
    if (size) {
      if (*size != bytes_.size()) {
        return Error(Code::kCorrupt,
                     fmt::format("{} has {} with {} bytes, and it has {}",
                                 client_.host(),
                                 digest.text(),
                                 *size,
                                 bytes_.size()));
      }
      return passed_over(call, UploadedBlob::How::kThere);
    }
    for (const std::string& from : target_.mount_from) {
      if (!client_.capabilities().mounts) {
        break;
      }
      throw_away(call);  // what began instead of the last mount
      auto mounted = client_.mount(call, target_.repository, digest, from);
      if (!mounted.ok() && !base::facts(mounted.error().code()).retry) {
        continue;  // a repository that is not ours to read
      }
      upload_ = TRY(std::move(mounted));
      if (!upload_) {
        return passed_over(call, UploadedBlob::How::kMounted);
      }
    }
    asked_ = true;
    return Step();
  }

  Result<Step> passed_over(const Call& call, UploadedBlob::How how) {
    throw_away(call);
    target_.progress.received_bytes += bytes_.size();
    return Step(UploadedBlob{*bytes_.digest(), how});
  }

  Result<void> begin(const Call& call) {
    if (!upload_) {
      upload_ = TRY(client_.begin_upload(call, target_.repository));
    }
    lost_track_ = false;
    if (kept_ != nullptr) {
      kept_->keep(*upload_);
    }
    return {};
  }

  Result<Step> put(const Call& call) {
    TRY(begin(call));
    TRY(read(bytes_.seek(call, 0)));
    Chunk body(bytes_, bytes_.size(), target_.progress);
    const registry::Upload upload = *upload_;
    auto sent = client_.put_blob(call, upload, *bytes_.digest(), body);
    bytes_failed_ = body.failed();
    TRY(std::move(sent));
    return Step(UploadedBlob{TRY(read(bytes_.finish(call))), UploadedBlob::How::kSent});
  }

  Result<Step> patch(const Call& call, const UploadPlan& plan) {
    TRY(begin(call));
    const std::uint64_t most = std::max<std::uint64_t>(plan.chunk_bytes, 1);
    while (upload_->offset < bytes_.size()) {
      TRY(read(bytes_.seek(call, upload_->offset)));
      Chunk body(bytes_, std::min(most, bytes_.size() - upload_->offset), target_.progress);
      auto sent = client_.patch(call, *upload_, body);
      bytes_failed_ = body.failed();
      if (!sent.ok() && sent.error().code() == Code::kUnsupported) {
        throw_away(call);
      }
      TRY(std::move(sent));
      arrived_ = std::max(arrived_, upload_->offset);
      if (kept_ != nullptr) {
        kept_->keep(*upload_);
      }
    }
    TRY(read(bytes_.seek(call, bytes_.size())));  // of an upload that was all there
    const registry::Digest digest = TRY(read(bytes_.finish(call)));
    TRY(client_.finish(call, *upload_, digest));
    return Step(UploadedBlob{digest, UploadedBlob::How::kSent});
  }

  // What the bytes say is no matter of the registry.
  template <typename T>
  Result<T> read(Result<T> result) {
    bytes_failed_ = !result.ok();
    return result;
  }

  void forget_upload() {
    upload_.reset();
    lost_track_ = false;
    if (kept_ != nullptr) {
      kept_->forget();
    }
  }

  // After the last failure: what a next process can take up stays where it is.
  void let_go(const Call& call, const Error& error) {
    const bool may_pass = base::facts(error.code()).retry || error.code() == Code::kCancelled;
    const bool stays = kept_ != nullptr && may_pass && client_.capabilities().resumes_after_break;
    if (!upload_ || stays) {
      return;
    }
    throw_away(call);
  }

  // Also when the call has ended.
  void throw_away(const Call& call) {
    if (upload_) {
      (void)client_.cancel(Call(call.clock()).within(kCancelTime), *upload_);
      forget_upload();
    }
  }

  const BlobTarget& target_;
  registry::Client& client_;
  const std::string& name_;
  BlobBytes& bytes_;
  KeptUpload* const kept_;
  std::optional<registry::Upload> upload_;
  bool lost_track_ = false;    // the registry is to be asked where the upload stands
  bool asked_ = false;         // whether the blob is there
  bool bytes_failed_ = false;  // the last failure was of the bytes, not of the registry
  std::uint64_t arrived_ = 0;  // the most that ever was at the registry
  unsigned lessons_ = 0;
};

}  // namespace

std::string_view name_of(UploadedBlob::How how) {
  switch (how) {
    case UploadedBlob::How::kSent:
      return "sent";
    case UploadedBlob::How::kThere:
      return "there";
    case UploadedBlob::How::kMounted:
      return "mounted";
  }
  return "";
}

Result<UploadedBlob> upload_blob(const Call& call,
                                 const BlobTarget& target,
                                 const std::string& name,
                                 BlobBytes& bytes,
                                 KeptUpload* kept) {
  auto uploaded = Uploader(target, name, bytes, kept).run(call);
  if (uploaded.ok()) {
    return uploaded;
  }
  Error error = std::move(uploaded).error();
  if (!error.file()) {
    return std::move(error).in_file(name);
  }
  return *error.file() == name ? std::move(error)
                               : std::move(error).context(fmt::format("pushing {}", name));
}

}  // namespace weighbridge::pack
