#include "cli/seal.h"

#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/local_directory.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "formats/seal.h"
#include "hash/sha256.h"
#include "transfer/make_seal.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// A seal that has been written.
struct Sealed {
  std::string path;
  std::string directory;  // as a reference prints
  hash::Sha256Digest sha256;
  std::optional<hash::Root> content_id;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  base::Duration took{};
};

Result<Sealed> seal(const Call& call,
                    const Environment& environment,
                    Style style,
                    const std::string& text) {
  const base::TimePoint began = call.clock().now();
  const OpenedRef opened = TRY(open_local_directory(environment, text, "sealed"));
  if (opened.ref.pinned_sha256() || opened.ref.pinned_root()) {
    return Error(Code::kInvalid, "a directory that is about to be sealed has no pin")
        .in_file(opened.ref.printable());
  }
  const sources::Listing listing = TRY(listing_of(call, opened, "sealed"));
  transfer::Progress progress;
  formats::Seal made;
  {
    const ProgressDisplay display(call.clock(), "sealing", progress, environment.err, style);
    made =
        TRY(transfer::make_seal(call, *opened.source, listing, progress, environment.local_proofs));
  }
  const std::vector<std::byte> bytes = TRY(formats::write_seal(made));
  Sealed sealed;
  sealed.path = path_in(opened, formats::kSealName);
  TRY(call.check());
  TRY(io::write_file_atomically(environment.files, sealed.path, bytes));
  sealed.directory = opened.ref.printable();
  sealed.sha256 = hash::Sha256::of(bytes);
  sealed.files = made.files.size();
  for (const formats::SealedFile& file : made.files) {
    sealed.bytes += file.size;
  }
  sealed.content_id =
      formats::snapshot_of(std::move(made), sealed.directory, sealed.sha256, model::Trust::kOrigin)
          .content_id;
  sealed.took = call.clock().now() - began;
  return sealed;
}

std::string as_json(const Sealed& sealed) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("seal");
  json.text(sealed.path);
  json.key("sha256");
  json.text(sealed.sha256.hex());
  json.key("content_id");
  root_or_null(json, sealed.content_id);
  json.key("files");
  json.number(sealed.files);
  json.key("bytes");
  json.number(sealed.bytes);
  json.key("seconds");
  json.decimal(seconds(sealed.took));
  json.end_object();
  return text + "\n";
}

std::string for_people(const Sealed& sealed) {
  return fmt::format(
      "sealed {}, {}\n"
      "  seal {}\n"
      "  sha256 {}\n"
      "  content_id {}\n"
      "To pin it, end a reference to this directory, wherever it is served, in\n"
      "  #sha256={}\n",
      counted(sealed.files, "file"),
      bytes_in(sealed.bytes, sealed.took),
      base::printable(sealed.path),
      sealed.sha256.hex(),
      sealed.content_id ? sealed.content_id->hex() : "unknown",
      sealed.sha256.hex());
}

}  // namespace

std::string_view SealCommand::example() const {
  return "Example:\n"
         "  weighbridge seal ./qwen\n"
         "Lists every file below DIR (not .git, .cache, .weighbridge*) with its digests.";
}

void SealCommand::declare(CLI::App& app) {
  app.add_option("DIR", directory_, "The directory to seal")->required();
}

Result<void> SealCommand::run(const Call& call, const Environment& environment, Style style) {
  const Sealed sealed = TRY(seal(call, environment, style, directory_));
  return environment.out.write(style.json ? as_json(sealed) : for_people(sealed));
}

}  // namespace weighbridge::cli
