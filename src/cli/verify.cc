#include "cli/verify.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/explain.h"
#include "cli/open_ref.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "transfer/content_id.h"
#include "transfer/resolve.h"
#include "transfer/verify.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxNamed = 20;  // failed files named in the closing error

struct Verified {
  std::string ref;
  model::Trust trust = model::Trust::kNone;
  bool sealed = false;
  std::optional<hash::Root> content_id;
  transfer::Verification verification;
  base::Duration took{};
  bool explained = false;  // asked for
};

Result<Verified> verify(const Call& call,
                        const Environment& environment,
                        Style style,
                        const std::string& text,
                        bool offline) {
  const base::TimePoint began = call.clock().now();
  const OpenedRef opened = TRY(open_ref_through_store(environment, text, offline));
  const model::Snapshot snapshot = TRY(transfer::resolve(call, *opened.source, opened.ref));
  transfer::Progress progress;
  Verified verified;
  {
    const ProgressDisplay display(call.clock(), "verifying", progress, environment.err, style);
    verified.verification =
        TRY(transfer::verify(call, *opened.source, snapshot, environment.transfer, progress));
  }
  verified.ref = opened.ref.printable();
  verified.trust = snapshot.files.empty() ? model::Trust::kOrigin : snapshot.files.front().trust;
  verified.sealed = snapshot.seal_sha256.has_value();
  verified.content_id = transfer::content_id_of(
      snapshot, *opened.source, environment.transfer.first_seen(), environment.transfer.trees());
  verified.took = call.clock().now() - began;
  return verified;
}

std::string as_json(const Verified& verified) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("ref");
  json.text(verified.ref);
  json.key("content_id");
  root_or_null(json, verified.content_id);
  json.key("proof");
  json.text(model::name_of(verified.trust));
  json.key("files");
  json.number(verified.verification.files);
  json.key("bytes");
  json.number(verified.verification.bytes);
  json.key("seconds");
  json.decimal(seconds(verified.took));
  json.key("failed");
  json.begin_array();
  for (const auto& failed : verified.verification.failed) {
    json.begin_object();
    json.key("path");
    json.text(failed.path);
    error_members(json, failed.error);
    json.end_object();
  }
  json.end_array();
  json.key("unlisted");
  json.begin_array();
  for (const std::string& path : verified.verification.unlisted) {
    json.text(path);
  }
  json.end_array();
  if (verified.explained) {
    json.key("explain");
    explain_json(json, *verified.verification.explanation);
  }
  json.end_object();
  return text + "\n";
}

std::string_view vouched_by(const Verified& verified) {
  if (verified.trust == model::Trust::kPinned) {
    return "what you pinned";
  }
  return verified.sealed ? "the seal beside them" : "the digests that their origin names";
}

std::string for_people(const Verified& verified) {
  const transfer::Verification& verification = verified.verification;
  std::string text = fmt::format("checked {}, read {}, against {}\n",
                                 counted(verification.files, "file"),
                                 bytes_in(verification.bytes, verified.took),
                                 vouched_by(verified));
  for (const auto& failed : verification.failed) {
    text += fmt::format("  FAILED {}: {}\n",
                        base::printable(failed.path),
                        base::printable(failed.error.message(), 4096));
  }
  for (const std::string& path : verification.unlisted) {
    text += fmt::format("  not in the seal: {}\n", base::printable(path));
  }
  if (verification.failed.empty()) {
    text += "  every file is as it should be\n";
  }
  if (verified.explained) {
    text += explain_text(*verification.explanation);
  }
  return text;
}

// The file's bytes are wrong or gone, as opposed to: we could not look.
bool is_damage(const transfer::Verification::Failed& failed) {
  const Code code = failed.error.code();
  return code == Code::kCorrupt || code == Code::kNotFound || code == Code::kConflict;
}

// One error for all files that failed, naming them.
Result<void> verdict(const transfer::Verification& verification) {
  const auto& failed = verification.failed;
  if (failed.empty()) {
    return {};
  }
  std::vector<std::string> named;
  for (std::size_t i = 0; i < std::min(failed.size(), kMaxNamed); ++i) {
    named.push_back(base::printable(failed[i].path));
  }
  const std::size_t more = failed.size() - named.size();
  const Code code =
      std::ranges::any_of(failed, is_damage) ? Code::kCorrupt : failed.front().error.code();
  Error error(code,
              fmt::format("{} of {} failed: {}{}",
                          failed.size(),
                          counted(verification.files, "file"),
                          fmt::join(named, ", "),
                          more > 0 ? fmt::format(" and {} more", more) : ""));
  return std::move(error).in_file(failed.front().path);
}

}  // namespace

std::string_view VerifyCommand::example() const {
  return "Example:\n"
         "  weighbridge verify ./qwen\n"
         "Missing and changed files fail and are named; files the seal does not list are named.";
}

void VerifyCommand::declare(CLI::App& app) {
  app.add_option("REF", ref_, "Directory, file or URL; a pin may follow after '#'")->required();
  declare_offline(app, offline_);
  app.add_flag("--explain", explain_, "What was chosen, why, and where the time went");
}

Result<void> VerifyCommand::run(const Call& call, const Environment& environment, Style style) {
  Verified verified = TRY(verify(call, environment, style, ref_, offline_));
  verified.explained = explain_;
  TRY(environment.out.write(style.json ? as_json(verified) : for_people(verified)));
  return verdict(verified.verification);
}

}  // namespace weighbridge::cli
