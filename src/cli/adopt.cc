#include "transfer/adopt.h"

#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/local_directory.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/store_commands.h"
#include "cli/stored_ref.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Result;

constexpr CommandText kText{
    "adopt",
    "Let pulls take from a directory that is there already",
    "Example:\n"
    "  weighbridge adopt ~/.cache/huggingface/hub/models--org--name/snapshots/<revision>\n"
    "DIR is read once, neither copied nor written to. A file that changes later is noticed, and\n"
    "not used any more: adopt DIR again."};

struct Done {
  store::AdoptedDirectory adopted;
  std::uint64_t bytes = 0;
  base::Duration took{};
};

Result<Done> adopt(const Call& call,
                   const Environment& environment,
                   Style style,
                   const std::string& text) {
  const base::TimePoint began = call.clock().now();
  const OpenedRef opened = TRY(open_local_directory(environment, text, "adopted"));
  const sources::Listing listing = TRY(listing_of(call, opened, "adopted"));
  const auto store = TRY(environment.open_store({}));
  const auto directory = canonical_path(opened.ref.location());
  if (!directory) {
    return base::Error(base::Code::kNotFound, "the directory is gone")
        .in_file(opened.ref.printable());
  }
  transfer::Progress progress;
  Done done;
  {
    const ProgressDisplay display(call.clock(), "reading", progress, environment.err, style);
    done.adopted = TRY(
        transfer::adopt(call, {*opened.source, opened.ref, *directory}, listing, *store, progress));
  }
  for (const store::AdoptedFile& file : done.adopted.files) {
    done.bytes += file.size;
  }
  done.took = call.clock().now() - began;
  return done;
}

std::string as_json(const Done& done) {
  return json_object([&](base::JsonWriter& json) {
    text_member(json, "directory", done.adopted.directory);
    text_member(json, "content_id", done.adopted.content_id.hex());
    text_member(json, "seal_sha256", done.adopted.seal_sha256.hex());
    number_member(json, "files", done.adopted.files.size());
    number_member(json, "bytes", done.bytes);
    json.key("seconds");
    json.decimal(seconds(done.took));
  });
}

std::string for_people(const Done& done) {
  return fmt::format("adopted {}, {}\n  directory {}\n  content_id {}\n  seal {}\n",
                     counted(done.adopted.files.size(), "file"),
                     bytes_in(done.bytes, done.took),
                     base::printable(done.adopted.directory),
                     done.adopted.content_id.hex(),
                     done.adopted.seal_sha256.hex());
}

// Confined to the thread that runs it.
class AdoptCommand final : public Command {
 public:
  AdoptCommand() : Command(kText) {}

  void declare(CLI::App& app) override {
    app.add_option("DIR", directory_, "The directory; `#sha256=` may pin the seal in it")
        ->required();
  }

  Result<void> run(const Call& call, const Environment& environment, Style style) override {
    const Done done = TRY(adopt(call, environment, style, directory_));
    return environment.out.write(style.json ? as_json(done) : for_people(done));
  }

 private:
  std::string directory_;
};

}  // namespace

std::unique_ptr<Command> make_adopt_command() {
  return std::make_unique<AdoptCommand>();
}

}  // namespace weighbridge::cli
