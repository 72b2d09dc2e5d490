#include "pack/kept_upload.h"

#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "registry/digest.h"

namespace weighbridge::pack {
namespace {

using base::Error;
using base::JsonValue;
using base::Result;

// A record is one block, written at once; what it does not fill is space, which JSON passes over.
constexpr std::size_t kRecordBytes = 16384;
constexpr std::uint32_t kOwnerOnly = 0600;

std::string record_name(const UploadKey& key) {
  const std::string text = fmt::format(
      "{}\n{}\n{}\n{}-{}", key.host, key.repository, key.path, key.range.begin, key.range.end);
  return std::string(registry::Digest::of(std::string_view(text)).hex());
}

struct Record {
  std::string revision;
  registry::Upload upload;
};

Result<Record> parse_record(std::string_view text) {
  Record record;
  const auto document = TRY(base::JsonDocument::parse(text));
  TRY(document.root().each_member(
      [&](std::string_view name, const JsonValue& value) -> Result<void> {
        if (name == "revision") {
          record.revision = TRY(value.as_string());
        } else if (name == "location") {
          record.upload.location = TRY(value.as_string());
        }
        return {};
      }));
  if (record.upload.location.empty()) {
    return Error(base::Code::kCorrupt, "a record without a location");
  }
  return record;
}

}  // namespace

std::unique_ptr<KeptUpload> KeptUpload::open(io::FileSystem& files,
                                             const std::string& home,
                                             const UploadKey& key) {
  const std::string directory = home + "/uploads";
  const std::string path = directory + "/" + record_name(key);
  auto file = files.open_to_write(path, io::Caching::kKeep);
  if (!file.ok()) {
    (void)files.make_directory(home);
    (void)files.make_directory(directory);
    file = files.create(path);
  }
  if (!file.ok() || !(*file)->set_mode(kOwnerOnly).ok()) {
    return nullptr;
  }
  const auto locked = (*file)->try_lock(io::Lock::kExclusive);
  if (!locked.ok() || !*locked) {
    return nullptr;
  }
  std::unique_ptr<KeptUpload> kept(new KeptUpload(files, path, std::move(*file), key));
  kept->read();
  return kept;
}

KeptUpload::~KeptUpload() {
  if (empty_) {
    (void)files_.remove(path_);
  }
}

void KeptUpload::read() {
  std::string text(kRecordBytes, '\0');
  const auto bytes = file_->read_at(0, std::as_writable_bytes(std::span(text)));
  if (!bytes.ok()) {
    return;
  }
  auto record = parse_record(std::string_view(text).substr(0, *bytes));
  if (!record.ok()) {
    return;
  }
  empty_ = false;
  record->upload.repository = key_.repository;
  (record->revision == key_.revision ? found_ : outdated_) = std::move(record->upload);
}

std::optional<registry::Upload> KeptUpload::found() const {
  return found_;
}

std::optional<registry::Upload> KeptUpload::outdated() const {
  return outdated_;
}

void KeptUpload::keep(const registry::Upload& upload) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("revision");
  json.text(key_.revision);
  json.key("location");
  json.text(upload.location);
  json.end_object();
  empty_ = !write(text);
}

void KeptUpload::forget() {
  empty_ = true;
  (void)write({});
}

bool KeptUpload::write(const std::string& text) {
  if (text.size() > kRecordBytes) {
    return false;
  }
  std::string block = text;
  block.resize(kRecordBytes, ' ');
  return file_->write_at(0, std::as_bytes(std::span(block))).ok();
}

}  // namespace weighbridge::pack
