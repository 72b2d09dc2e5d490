#include "formats/lock.h"

#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hash/hash_tree.h"
#include "hash/sha256.h"

namespace weighbridge::formats {
namespace {

using base::Code;
using ::testing::HasSubstr;

Lock some_lock() {
  Lock lock;
  lock.put({"https://host/qwen/", hash::hash_bytes({}), hash::Sha256::of({})});
  lock.put({"./local", hash::hash_bytes({}), std::nullopt});
  return lock;
}

std::string text_of(const Lock& lock) {
  const auto bytes = write_lock(lock).value();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

base::Result<Lock> parse(std::string_view text) {
  return parse_lock(std::as_bytes(std::span(text)));
}

TEST(LockTest, IsTheTextThatItsFormatSays) {
  const std::string root = hash::hash_bytes({}).hex();
  EXPECT_EQ(text_of(some_lock()),
            "weighbridge lock 1\n"
            "\nref ./local\ncontent " +
                root + "\nseal -\n\nref https://host/qwen/\ncontent " + root + "\nseal " +
                hash::Sha256::of({}).hex() + "\n");
}

TEST(LockTest, ReadsBackWhatItWrote) {
  EXPECT_EQ(parse(text_of(some_lock())).value(), some_lock());
  EXPECT_TRUE(parse(text_of({}))->entries.empty());
}

TEST(LockTest, FindsAndReplacesAnEntryByItsRef) {
  Lock lock = some_lock();
  lock.put({"./local", hash::hash_bytes({}), hash::Sha256::of({})});
  EXPECT_EQ(lock.entries.size(), 2U);
  EXPECT_TRUE(lock.find("./local")->seal_sha256);
  EXPECT_EQ(lock.find("./other"), nullptr);
}

TEST(LockTest, SaysWhichLineIsNotWhatItMustBe) {
  std::string text = text_of(some_lock());
  EXPECT_THAT(parse(text.substr(0, text.size() - 1)).error().message(), HasSubstr("line 9"));
  text.insert(text.find("content"), " ");
  EXPECT_THAT(parse(text).error().message(), HasSubstr("line 4: 'content ...' is expected"));
}

TEST(LockTest, RefusesWhatItWouldNotHaveWritten) {
  const std::string good = text_of(some_lock());
  const std::size_t second = good.find("\nref https");
  for (const std::string& bad :
       {std::string(),
        std::string("weighbridge lock 01\n"),
        std::string("weighbridge seal 1\n"),
        good + "\n",
        good + good.substr(second),
        "weighbridge lock 1\n" + good.substr(second) + good.substr(19, second - 19)}) {
    EXPECT_EQ(parse(bad).error().code(), Code::kCorrupt) << bad;
  }
  EXPECT_EQ(parse("weighbridge lock 2\n").error().code(), Code::kUnsupported);
}

TEST(LockTest, RefusesRefsOfWhichSomethingWouldBeHidden) {
  for (const std::string ref : {"https://user:secret@host/m/", "https://host/m?token=1", ""}) {
    Lock lock;
    lock.entries.push_back({ref, {}, std::nullopt});
    EXPECT_EQ(write_lock(lock).error().code(), Code::kInvalid) << ref;
  }
  Lock disordered;
  disordered.entries = {{"./b", {}, std::nullopt}, {"./a", {}, std::nullopt}};
  EXPECT_EQ(write_lock(disordered).error().code(), Code::kInvalid);
}

}  // namespace
}  // namespace weighbridge::formats
