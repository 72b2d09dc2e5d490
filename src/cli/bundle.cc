#include "cli/bundle.h"

#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/units.h"
#include "cli/report.h"
#include "hash/digest.h"
#include "model/ref.h"
#include "pack/bundle.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kStream = "-";
constexpr std::size_t kReadBytes = base::kMiB;

// What is exported: a snapshot, and the seal that its Ref resolved to.
struct Chosen {
  hash::Root content_id;
  std::optional<hash::Sha256Digest> seal_sha256;
};

Result<Chosen> choose(const store::Refs& refs, const std::string& what) {
  if (const auto id = hash::Root::from_hex(what)) {
    return Chosen{*id, std::nullopt};
  }
  const model::Ref ref = TRY(model::Ref::parse(what));
  const auto record = TRY(refs.find(ref));
  if (!record || !record->content_id) {
    return Error(Code::kNotFound, ref.printable() + " was not pulled here")
        .in_file(ref.printable())
        .with_hint("`weighbridge pull REF` first.");
  }
  return Chosen{*record->content_id, record->seal_sha256};
}

// Bytes in their order, to a file that has its name only when it is whole, or to standard output.
class BundleOutput {
 public:
  static Result<std::unique_ptr<BundleOutput>> open(const Environment& environment,
                                                    const std::string& path) {
    auto output = std::unique_ptr<BundleOutput>(new BundleOutput(environment, path));
    if (path != kStream) {
      if (const auto there = environment.files.info(path);
          there.ok() && there->kind != io::Kind::kFile) {
        return Error(Code::kExists, "a file is to be written, and this is none")
            .in_file(path)
            .with_hint("`-` writes to standard output.");
      }
      TRY(store_absent(environment.files, output->temporary_));
      output->file_ = TRY(environment.files.create(output->temporary_));
    }
    return output;
  }

  BundleOutput(const BundleOutput&) = delete;
  BundleOutput& operator=(const BundleOutput&) = delete;

  ~BundleOutput() {
    if (file_ != nullptr) {
      static_cast<void>(environment_.files.remove(temporary_));
    }
  }

  Result<void> write(std::span<const std::byte> bytes) {
    written_ += bytes.size();
    if (file_ == nullptr) {
      return environment_.out.write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    return file_->write_at(written_ - bytes.size(), bytes);
  }

  Result<void> finish() {
    if (file_ == nullptr) {
      return {};
    }
    TRY(file_->sync());
    TRY(environment_.files.rename(temporary_, path_));
    file_.reset();
    const std::size_t slash = path_.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    return environment_.files.sync_directory(directory);
  }

  std::uint64_t written() const { return written_; }

 private:
  BundleOutput(const Environment& environment, const std::string& path)
      : environment_(environment),
        path_(path),
        temporary_(fmt::format("{}.weighbridge-{}.part", path, ::getpid())) {}

  // What an earlier export left behind.
  static Result<void> store_absent(io::FileSystem& files, const std::string& path) {
    auto removed = files.remove(path);
    return removed.ok() || removed.error().code() == Code::kNotFound ? Result<void>()
                                                                     : std::move(removed);
  }

  const Environment& environment_;
  const std::string path_;
  const std::string temporary_;
  std::unique_ptr<io::OpenFile> file_;
  std::uint64_t written_ = 0;
};

using ReadBytes = std::function<Result<std::size_t>(std::span<std::byte>)>;

Result<std::size_t> read_standard_input(std::span<std::byte> into) {
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, into.data(), into.size());
    if (got >= 0) {
      return static_cast<std::size_t>(got);
    }
    if (errno != EINTR) {
      return Error(Code::kIo, "standard input cannot be read");
    }
  }
}

Result<void> feed_all(const Call& call, const ReadBytes& read, pack::BundleReader& reader) {
  std::vector<std::byte> buffer(kReadBytes);
  for (;;) {
    TRY(call.check());
    const std::size_t got = TRY(read(buffer));
    if (got == 0) {
      return {};
    }
    TRY(reader.feed(std::span(buffer).first(got)));
  }
}

Result<pack::Imported> import_from(const Call& call,
                                   const Environment& environment,
                                   const std::string& file,
                                   pack::BundleReader& reader) {
  if (file == kStream) {
    TRY(feed_all(call, read_standard_input, reader));
    return reader.finish();
  }
  const auto open = TRY(environment.files.open(file));
  std::uint64_t at = 0;
  TRY(feed_all(
      call,
      [&](std::span<std::byte> into) -> Result<std::size_t> {
        const std::size_t got = TRY(open->read_at(at, into));
        at += got;
        return got;
      },
      reader));
  return reader.finish();
}

store::RefRecord record_of(const Call& call,
                           const model::Ref& ref,
                           const pack::Imported& imported) {
  const auto since = call.clock().wall_now().time_since_epoch();
  const bool is_pinned = ref.pinned_sha256() == imported.seal_sha256;
  store::RefRecord record;
  record.ref = ref.printable();
  record.content_id = imported.content_id;
  record.seal_sha256 = imported.seal_sha256;
  record.trust = is_pinned ? model::Trust::kPinned : model::Trust::kOrigin;
  record.resolved_s =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(since).count());
  return record;
}

std::string as_json(const pack::Imported& imported, base::Duration took) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("directory");
  json.text(imported.directory);
  json.key("content_id");
  json.text(imported.content_id.hex());
  json.key("seal_sha256");
  json.text(imported.seal_sha256.hex());
  json.key("files");
  json.number(imported.files);
  json.key("bytes");
  json.number(imported.bytes);
  json.key("present_bytes");
  json.number(imported.present_bytes);
  json.key("seconds");
  json.decimal(seconds(took));
  json.end_object();
  return text + "\n";
}

}  // namespace

std::string_view ExportCommand::example() const {
  return "Example:\n"
         "  weighbridge export https://models.example/qwen/ qwen.tar\n"
         "  weighbridge export https://models.example/qwen/ - | ssh host weighbridge import -\n"
         "The file begins with the model's seal; `weighbridge import` proves every byte by it.";
}

void ExportCommand::declare(CLI::App& app) {
  app.add_option("REF", what_, "What was pulled, or the content_id of a snapshot")->required();
  app.add_option("FILE", file_, "The file to write, or - for standard output")->required();
}

Result<void> ExportCommand::run(const Call& call, const Environment& environment, Style style) {
  const base::TimePoint began = call.clock().now();
  const auto store = environment.find_store ? TRY(environment.find_store({})) : nullptr;
  if (store == nullptr) {
    return Error(Code::kNotFound, "there is no store on this machine yet")
        .with_hint("`weighbridge pull` makes one.");
  }
  const Chosen chosen = TRY(choose(store->refs(), what_));
  const auto seal =
      TRY(pack::seal_of_snapshot(call, *store, chosen.content_id, chosen.seal_sha256));
  const auto output = TRY(BundleOutput::open(environment, file_));
  TRY(pack::write_bundle(
      call, *store, seal, [&](std::span<const std::byte> bytes) { return output->write(bytes); }));
  TRY(output->finish());
  const base::Duration took = call.clock().now() - began;
  if (style.json && file_ != kStream) {
    std::string text;
    base::JsonWriter json(text);
    json.begin_object();
    json.key("file");
    json.text(file_);
    json.key("content_id");
    json.text(chosen.content_id.hex());
    json.key("bytes");
    json.number(output->written());
    json.key("seconds");
    json.decimal(seconds(took));
    json.end_object();
    return environment.out.write(text + "\n");
  }
  return style.quiet ? Result<void>()
                     : environment.err.write(
                           fmt::format("exported {}\n", bytes_in(output->written(), took)));
}

std::string_view ImportCommand::example() const {
  return "Example:\n"
         "  weighbridge import qwen.tar 'https://models.example/qwen/#sha256=<of the seal>'\n"
         "  weighbridge load 'https://models.example/qwen/#sha256=<of the seal>' --offline\n"
         "With REF the model is found by it; if REF pins a seal, no other is taken.";
}

void ImportCommand::declare(CLI::App& app) {
  app.add_option("FILE", file_, "What `weighbridge export` wrote, or - for standard input")
      ->required();
  app.add_option("REF", ref_, "What the model is known as from now on");
}

Result<void> ImportCommand::run(const Call& call, const Environment& environment, Style style) {
  const base::TimePoint began = call.clock().now();
  std::optional<model::Ref> ref;
  if (!ref_.empty()) {
    ref = TRY(model::Ref::parse(ref_));
  }
  const auto store = TRY(environment.open_store({}));
  pack::BundleReader reader(call, *store, ref ? ref->pinned_sha256() : std::nullopt);
  const pack::Imported imported = TRY(import_from(call, environment, file_, reader));
  if (ref) {
    TRY(store->refs().put(*ref, record_of(call, *ref, imported)));
  }
  const base::Duration took = call.clock().now() - began;
  if (style.json) {
    return environment.out.write(as_json(imported, took));
  }
  TRY(environment.out.write(imported.directory + "\n"));
  return style.quiet ? Result<void>()
                     : environment.err.write(fmt::format("imported {}, {}, every byte as sealed\n"
                                                         "  seal sha256 {}\n",
                                                         counted(imported.files, "file"),
                                                         bytes_in(imported.bytes, took),
                                                         imported.seal_sha256.hex()));
}

}  // namespace weighbridge::cli
