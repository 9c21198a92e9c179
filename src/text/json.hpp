#pragma once
// Json: a value written from front to back; commas and quotes are seen to.
//
//   Json json;
//   json.begin_object().key("rate").number(2.5).key("names").begin_array().string("a").end().end();
//   json.text()                                             {"rate":2.5,"names":["a"]}
//
// Text is taken as UTF-8; bytes that are none (a key's, an error's) become U+FFFD, so that what
// comes out always parses. Numbers that are none (NaN, infinity) become null.

#include <cstdint>
#include <string>
#include <string_view>

namespace firnlog::server::text {

class Json {
  public:
    Json& begin_object() { return begin('{'); }
    Json& begin_array() { return begin('['); }
    Json& end();
    Json& key(std::string_view name);
    Json& string(std::string_view text);
    Json& number(double value);
    Json& integer(std::uint64_t value);
    Json& boolean(bool value);
    Json& null();

    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    Json& begin(char kind);
    void before_value();
    void append_string(std::string_view text);

    std::string text_;
    std::string open_;  // what will close each thing that is open, the innermost last
    bool first_ = true;
    bool keyed_ = false;
};

}  // namespace firnlog::server::text
