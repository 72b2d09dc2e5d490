#include "registry/capabilities.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::kGiB;
using base::kMiB;
using base::Result;

// Learned limits stay above this: what a server says must not make an upload crawl for ever.
constexpr std::uint64_t kLeastChunkBytes = 64 * base::kKiB;

Capabilities row(std::string_view kind) {
  Capabilities capabilities;
  capabilities.kind = kind;
  return capabilities;
}

// Distribution 2.8 and what is built on it: a PATCH that is cut off loses the upload.
Capabilities distribution_2(std::string_view kind) {
  Capabilities capabilities = row(kind);
  capabilities.referrers = false;
  return capabilities;
}

Capabilities distribution_3() {
  Capabilities capabilities = row("distribution-3");
  capabilities.resumes_after_break = true;
  capabilities.referrers = false;
  return capabilities;
}

Capabilities zot() {
  Capabilities capabilities = row("zot");
  capabilities.resumes_after_break = true;
  capabilities.patch_costs_more = true;  // the final PUT reads and hashes the whole blob again
  return capabilities;
}

// Ten gigabytes a layer, ten minutes an upload.
Capabilities ghcr() {
  Capabilities capabilities = row("ghcr");
  capabilities.patch_costs_more = true;
  capabilities.max_chunk_bytes = 4 * kMiB;
  capabilities.max_layer_bytes = 10'000'000'000;
  capabilities.max_upload_seconds = 600;
  return capabilities;
}

Capabilities monolithic(std::string_view kind, std::optional<std::uint64_t> max_layer_bytes) {
  Capabilities capabilities = row(kind);
  capabilities.patch = false;
  capabilities.max_layer_bytes = max_layer_bytes;
  return capabilities;
}

Capabilities acr() {
  Capabilities capabilities = row("acr");
  capabilities.max_layer_bytes = 200 * kGiB;
  return capabilities;
}

// A single PUT can fail on the way to what stores it.
Capabilities artifactory() {
  Capabilities capabilities = row("artifactory");
  capabilities.put_whole = false;
  return capabilities;
}

// The free plan lets no larger body through.
Capabilities cloudflare() {
  Capabilities capabilities = row("cloudflare");
  capabilities.max_body_bytes = 100'000'000;
  return capabilities;
}

const std::vector<Capabilities>& rows() {
  static const std::vector<Capabilities> kRows = {row("unknown"),
                                                  distribution_2("distribution-2"),
                                                  distribution_3(),
                                                  zot(),
                                                  row("harbor"),
                                                  ghcr(),
                                                  monolithic("gar", std::nullopt),
                                                  monolithic("ecr", 52'000 * kMiB),
                                                  monolithic("ecr-public", 10'000 * kMiB),
                                                  acr(),
                                                  row("docker-hub"),
                                                  distribution_2("gitlab"),
                                                  artifactory(),
                                                  cloudflare()};
  return kRows;
}

const Capabilities& row_of(std::string_view kind) {
  const auto found = std::find_if(
      rows().begin(), rows().end(), [&](const Capabilities& known) { return known.kind == kind; });
  return found == rows().end() ? rows().front() : *found;
}

struct HostRule {
  std::string_view pattern;
  std::string_view kind;
};

constexpr std::array<HostRule, 11> kHosts = {{
    {"ghcr.io", "ghcr"},
    {"gcr.io", "gar"},
    {"*.gcr.io", "gar"},
    {"*.pkg.dev", "gar"},
    {"public.ecr.aws", "ecr-public"},
    {"*.dkr.ecr.*.amazonaws.com", "ecr"},
    {"*.dkr.ecr.*.amazonaws.com.cn", "ecr"},
    {"*.azurecr.io", "acr"},
    {"docker.io", "docker-hub"},
    {"registry.gitlab.com", "gitlab"},
    {"*.jfrog.io", "artifactory"},
}};

// A header that only one kind sends. The more telling stand first: Cloudflare stands before many.
struct HeaderRule {
  std::string_view header;
  std::string_view pattern;
  std::string_view kind;
};

constexpr std::array<HeaderRule, 6> kHeaders = {{
    {"x-jfrog-version", "*", "artifactory"},
    {"x-artifactory-id", "*", "artifactory"},
    {"gitlab-container-registry-version", "*", "gitlab"},
    {"x-harbor-csrf-token", "*", "harbor"},
    {"server", "zot*", "zot"},
    {"server", "cloudflare", "cloudflare"},
}};

std::uint64_t body_limit(const Capabilities& known) {
  const std::uint64_t none = std::numeric_limits<std::uint64_t>::max();
  return std::min(known.max_chunk_bytes.value_or(none), known.max_body_bytes.value_or(none));
}

bool fits_one_put(const Capabilities& known, std::uint64_t size) {
  return known.put_whole && size <= known.max_body_bytes.value_or(size);
}

template <typename T>
bool set(T& value, T to) {
  const bool changed = value != to;
  value = to;
  return changed;
}

// Downwards only, and never below what makes progress.
bool lower(std::optional<std::uint64_t>& limit, std::uint64_t to) {
  to = std::max(to, kLeastChunkBytes);
  return (!limit || to < *limit) && set(limit, std::optional(to));
}

// One member of a JSON object, whatever its type. Thread-compatible.
struct Member {
  std::string_view name;
  bool Capabilities::*flag = nullptr;
  std::uint64_t Capabilities::*number = nullptr;
  std::optional<std::uint64_t> Capabilities::*limit = nullptr;
};

constexpr Member flag(std::string_view name, bool Capabilities::*member) {
  return {name, member, nullptr, nullptr};
}

constexpr Member number(std::string_view name, std::uint64_t Capabilities::*member) {
  return {name, nullptr, member, nullptr};
}

constexpr Member limit(std::string_view name, std::optional<std::uint64_t> Capabilities::*member) {
  return {name, nullptr, nullptr, member};
}

constexpr std::array<Member, 13> kMembers = {{
    flag("patch", &Capabilities::patch),
    flag("patch_costs_more", &Capabilities::patch_costs_more),
    flag("put_whole", &Capabilities::put_whole),
    flag("resumes_after_break", &Capabilities::resumes_after_break),
    number("min_chunk_bytes", &Capabilities::min_chunk_bytes),
    limit("max_chunk_bytes", &Capabilities::max_chunk_bytes),
    limit("max_body_bytes", &Capabilities::max_body_bytes),
    limit("max_upload_seconds", &Capabilities::max_upload_seconds),
    limit("max_layer_bytes", &Capabilities::max_layer_bytes),
    number("max_manifest_bytes", &Capabilities::max_manifest_bytes),
    flag("ranges", &Capabilities::ranges),
    flag("referrers", &Capabilities::referrers),
    flag("mounts", &Capabilities::mounts),
}};

Result<void> assign(Capabilities& known, const Member& member, const JsonValue& value) {
  if (member.flag != nullptr) {
    known.*member.flag = TRY(value.as_bool());
  } else if (member.number != nullptr) {
    known.*member.number = TRY(value.as_u64());
  } else if (value.is_null()) {
    (known.*member.limit).reset();
  } else {
    known.*member.limit = TRY(value.as_u64());
  }
  return {};
}

Result<void> override_member(Capabilities& known, std::string_view name, const JsonValue& value) {
  if (name == "kind") {
    known.kind = base::printable(TRY(value.as_string()), 64);
    return {};
  }
  for (const Member& member : kMembers) {
    if (member.name != name) {
      continue;
    }
    auto assigned = assign(known, member, value);
    return assigned.ok() ? std::move(assigned)
                         : Result<void>(std::move(assigned).error().context(name));
  }
  return Error(Code::kInvalid, fmt::format("no capability '{}'", base::printable(name, 64)));
}

}  // namespace

UploadPlan plan_upload(const Capabilities& known, std::uint64_t size, bool digest_known) {
  if (size > known.max_layer_bytes.value_or(size)) {
    return {UploadPlan::Way::kTooLarge, 0};
  }
  std::uint64_t chunk = std::min(body_limit(known), size);
  if (known.resumes_after_break) {
    chunk = std::min(chunk, kResumeChunkBytes);
  }
  chunk = std::max(chunk, std::min(known.min_chunk_bytes, size));
  const bool one_put = fits_one_put(known, size);
  if (!known.patch) {
    return {!one_put       ? UploadPlan::Way::kTooLarge
            : digest_known ? UploadPlan::Way::kMonolithic
                           : UploadPlan::Way::kHashFirst,
            0};
  }
  if (!one_put) {
    return {UploadPlan::Way::kPatch, chunk};
  }
  if (!digest_known) {
    return {known.patch_costs_more ? UploadPlan::Way::kHashFirst : UploadPlan::Way::kPatch, chunk};
  }
  // With the digest at hand one PUT is cheapest, unless it is so long that a break would hurt.
  const bool chunks_pay = known.resumes_after_break && !known.patch_costs_more && size > chunk;
  return chunks_pay ? UploadPlan{UploadPlan::Way::kPatch, chunk}
                    : UploadPlan{UploadPlan::Way::kMonolithic, 0};
}

std::span<const Capabilities> known_capabilities() {
  return rows();
}

Capabilities capabilities_of_host(std::string_view host) {
  const std::string_view name = host.substr(0, host.find(':'));
  for (const HostRule& rule : kHosts) {
    if (base::glob_match(rule.pattern, name)) {
      return row_of(rule.kind);
    }
  }
  return rows().front();
}

std::optional<Capabilities> capabilities_of_answer(const net::HttpHead& head) {
  for (const HeaderRule& rule : kHeaders) {
    const std::string value = base::to_lower(head.header(rule.header));
    if (!value.empty() && base::glob_match(rule.pattern, value)) {
      return row_of(rule.kind);
    }
  }
  return std::nullopt;
}

bool learn(Capabilities& known, const Lesson& lesson) {
  switch (lesson.what) {
    case Lesson::What::kRangeIgnored:
      return set(known.ranges, false);
    case Lesson::What::kNoPatch:
      return set(known.patch, false);
    case Lesson::What::kBodyTooLarge:
      return lower(known.max_body_bytes, lesson.bytes / 2);
    case Lesson::What::kChunkTooLarge:
      return lower(known.max_chunk_bytes, lesson.bytes / 2);
    case Lesson::What::kMinChunk:
      return set(known.min_chunk_bytes, std::min(lesson.bytes, kResumeChunkBytes));
    case Lesson::What::kMaxChunk:
      return lower(known.max_chunk_bytes, lesson.bytes);
    case Lesson::What::kResumed:
      return set(known.resumes_after_break, true);
    case Lesson::What::kLostUpload:
      return set(known.resumes_after_break, false);
    case Lesson::What::kNoReferrers:
      return set(known.referrers, false);
    case Lesson::What::kManifestTooLarge:
      return lesson.bytes > 0 && lesson.bytes <= known.max_manifest_bytes &&
             set(known.max_manifest_bytes, lesson.bytes - 1);
  }
  return false;
}

Result<void> override_capabilities(Capabilities& known, const JsonValue& object) {
  return object.each_member([&](std::string_view name, const JsonValue& value) {
    return override_member(known, name, value);
  });
}

void write_capabilities(base::JsonWriter& json, const Capabilities& known) {
  json.begin_object();
  json.key("kind");
  json.text(known.kind);
  for (const Member& member : kMembers) {
    json.key(member.name);
    if (member.flag != nullptr) {
      json.boolean(known.*member.flag);
    } else if (member.number != nullptr) {
      json.number(known.*member.number);
    } else if (const auto& value = known.*member.limit) {
      json.number(*value);
    } else {
      json.null();
    }
  }
  json.end_object();
}

}  // namespace weighbridge::registry
