#include "registry/answer_error.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kQuotedLimit = 200;
constexpr std::size_t kErrorDepth = 32;

struct CodeWords {
  std::string_view name;
  Code code;
  std::string_view words;
  std::string_view hint;
};

constexpr std::array<CodeWords, 14> kCodes = {{
    {"BLOB_UNKNOWN",
     Code::kNotFound,
     "the registry has no such blob in this repository",
     "The artifact is incomplete there: push it again."},
    {"BLOB_UPLOAD_INVALID",
     Code::kNotFound,
     "the registry has given this upload up",
     "Begin the upload again."},
    {"BLOB_UPLOAD_UNKNOWN",
     Code::kNotFound,
     "the registry does not know this upload any more",
     "Begin the upload again."},
    {"DIGEST_INVALID",
     Code::kCorrupt,
     "the registry found another digest than the one it was told, or knows none of this kind",
     "The file changed while it was sent, or the way to the registry damages bytes."},
    {"MANIFEST_BLOB_UNKNOWN",
     Code::kNotFound,
     "the manifest names a blob that the repository does not have",
     "Push the blobs of the manifest first."},
    {"MANIFEST_INVALID",
     Code::kInvalid,
     "the registry refuses the manifest",
     "It may not take artifacts of this kind."},
    {"MANIFEST_UNKNOWN",
     Code::kNotFound,
     "the registry has no such manifest",
     "Check the tag or digest."},
    {"NAME_INVALID",
     Code::kInvalid,
     "the registry refuses the repository's name",
     "Some registries ask for a project or namespace in front of the name."},
    {"NAME_UNKNOWN",
     Code::kNotFound,
     "the registry has no such repository",
     "Check the name; some registries want a repository to be created first."},
    {"SIZE_INVALID",
     Code::kCorrupt,
     "the registry received another number of bytes than it was told",
     "The file changed while it was sent, or a proxy cut it short."},
    {"UNAUTHORIZED",
     Code::kDenied,
     "the registry wants to know who asks",
     "Log in with `weighbridge login`, with a user that may do this."},
    {"DENIED",
     Code::kDenied,
     "the registry does not allow this",
     "The user who is logged in lacks the right, or a quota is used up."},
    {"UNSUPPORTED",
     Code::kUnsupported,
     "the registry cannot do this",
     "Deletion, for one, must be enabled in many registries."},
    {"TOOMANYREQUESTS",
     Code::kBusy,
     "the registry asks for fewer requests",
     "Wait, or log in: anonymous users get fewer."},
}};

struct Said {
  std::string code;
  std::string message;
};

Result<Said> read_body(std::string_view body) {
  const auto document = TRY(base::JsonDocument::parse(body, kErrorDepth));
  Said said;
  const auto read_error = [&](const JsonValue& error) {
    return error.each_member([&](std::string_view key, const JsonValue& value) -> Result<void> {
      const auto text = value.as_string();
      if (key == "code" && said.code.empty() && text.ok()) {
        said.code = text.value();
      } else if (key == "message" && said.message.empty() && text.ok()) {
        said.message = text.value();
      }
      return {};
    });
  };
  TRY(document.root().each_member([&](std::string_view key,
                                      const JsonValue& value) -> Result<void> {
    return key == "errors" && !value.is_null() ? value.each_element(read_error) : Result<void>();
  }));
  return said;
}

const CodeWords* words_for(std::string_view code) {
  const auto* const found = std::find_if(
      kCodes.begin(), kCodes.end(), [&](const CodeWords& words) { return words.name == code; });
  return found == kCodes.end() ? nullptr : found;
}

// Codes are believed of a refusal only: behind a 5xx stands a fault that may pass, whatever its
// body says. 429 is busy by itself.
const CodeWords* words_of(const net::HttpHead& head, std::string_view code) {
  if (head.status == 429) {
    return words_for("TOOMANYREQUESTS");
  }
  if (head.status < 400 || head.status > 499) {
    return nullptr;
  }
  if (const CodeWords* const words = words_for(code)) {
    return words;
  }
  if (head.status == 401) {
    return words_for("UNAUTHORIZED");
  }
  return head.status == 403 ? words_for("DENIED") : nullptr;
}

std::string quoted(const Said& said, std::span<const std::string> secrets) {
  const bool tells = std::any_of(secrets.begin(), secrets.end(), [&](const std::string& secret) {
    return !secret.empty() && (said.message.find(secret) != std::string::npos ||
                               said.code.find(secret) != std::string::npos);
  });
  if (said.message.empty() || tells) {
    return {};
  }
  return fmt::format(" (it says: {})", base::printable(said.message, kQuotedLimit));
}

}  // namespace

std::string error_code_of(const net::HttpReply& reply) {
  auto said = read_body(reply.body);
  return said.ok() ? said->code : std::string();
}

Error answer_error(const net::HttpReply& reply,
                   std::string_view method,
                   std::string_view url,
                   std::span<const std::string> secrets) {
  auto parsed = read_body(reply.body);
  const Said said = parsed.ok() ? std::move(parsed).value() : Said{};
  Error error = net::http_error(reply.head, url, method);
  const CodeWords* const words = words_of(reply.head, said.code);
  if (words == nullptr) {
    const std::string more = quoted(said, secrets);
    return more.empty() ? std::move(error)
                        : std::move(error).context("the registry refused" + more);
  }
  const std::string printed = net::printable_url(url);
  Error plain = Error(words->code,
                      fmt::format("{} {}: {}, status {}{}",
                                  method,
                                  printed,
                                  words->words,
                                  reply.head.status,
                                  quoted(said, secrets)))
                    .in_file(printed)
                    .with_hint(std::string(words->hint));
  if (const auto wait = error.retry_after()) {
    plain = std::move(plain).with_retry_after(*wait);
  }
  return plain;
}

}  // namespace weighbridge::registry
