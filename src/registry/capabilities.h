#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "base/units.h"
#include "net/http_client.h"

namespace weighbridge::registry {

// What a registry can do, as far as it is known. It begins with a row of the table (by the host's
// name, or by what the headers of its answers give away), learns from answers, and yields to what
// the user says. A value. Thread-compatible.
struct Capabilities {
  std::string kind = "unknown";  // the row of the table

  // Uploads.
  bool patch = true;                  // takes a blob in PATCHes, its digest known only at the PUT
  bool patch_costs_more = false;      // it reads the blob again, or takes it in very small parts
  bool put_whole = true;              // takes a blob in the body of the PUT
  bool resumes_after_break = false;   // keeps what had arrived of a PATCH that was cut off
  std::uint64_t min_chunk_bytes = 0;  // of each PATCH but the last
  std::optional<std::uint64_t> max_chunk_bytes;  // of a PATCH
  std::optional<std::uint64_t> max_body_bytes;   // of any request
  std::optional<std::uint64_t> max_upload_seconds;

  // Content.
  std::optional<std::uint64_t> max_layer_bytes;
  std::uint64_t max_manifest_bytes = 4 * base::kMiB;
  bool ranges = true;     // answers a Range with 206
  bool referrers = true;  // has the referrers API; the tag is used where not
  bool mounts = true;     // mounts a blob of another repository

  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

// A PATCH is no longer than this where a break costs no more than the PATCH it was in.
inline constexpr std::uint64_t kResumeChunkBytes = 256 * base::kMiB;

// How a blob is to be sent. A value.
struct UploadPlan {
  enum class Way : std::uint8_t {
    kPatch,       // in chunks, the digest at the end
    kHashFirst,   // the digest is needed, or pays, before a byte is sent: plan again with it
    kMonolithic,  // one PUT
    kTooLarge,    // above the registry's limit for a layer: split the file
  };
  Way way = Way::kPatch;
  std::uint64_t chunk_bytes = 0;  // of kPatch; the last may be shorter
};

UploadPlan plan_upload(const Capabilities& known, std::uint64_t size, bool digest_known);

// The rows we know, by `kind`.
std::span<const Capabilities> known_capabilities();
// The row for a host of which nothing has been heard yet.
Capabilities capabilities_of_host(std::string_view host);
// The row that an answer gives away by its headers; nothing if it says no more than we know.
std::optional<Capabilities> capabilities_of_answer(const net::HttpHead& head);

// What one answer taught: applied to what is known; true if that changed it.
struct Lesson {
  enum class What : std::uint8_t {
    kRangeIgnored,      // 200 to a Range
    kNoPatch,           // PATCH answered as if it were the whole upload, or refused
    kBodyTooLarge,      // 413: a body of `bytes`
    kChunkTooLarge,     // 416 to a chunk of `bytes` at the right offset
    kMinChunk,          // OCI-Chunk-Min-Length
    kMaxChunk,          // OCI-Chunk-Max-Length
    kResumed,           // an upload that was cut off says where it stands
    kLostUpload,        // an upload that was cut off is gone
    kNoReferrers,       // 404 to the referrers API
    kManifestTooLarge,  // a manifest of `bytes`
  };
  What what{};
  std::uint64_t bytes = 0;
};

bool learn(Capabilities& known, const Lesson& lesson);

// The members of a JSON object say what is overridden; kInvalid names one that we do not know or
// that is of the wrong type.
base::Result<void> override_capabilities(Capabilities& known, const base::JsonValue& object);
// The same members, all of them.
void write_capabilities(base::JsonWriter& json, const Capabilities& known);

}  // namespace weighbridge::registry
