#pragma once
// glob: the patterns of KEYS, SCAN MATCH, PSUBSCRIBE and CONFIG GET, with Redis's meaning.
//
//   *  any run    ?  any byte    [ab] [a-z] [^a]  one of, none of    \x  x itself
//
// Every element but the star stands for exactly one byte, so going back to the last star alone is
// enough: no recursion, no exponential case, at most pattern x text steps. Redis's corners are
// kept: an empty text matches nothing but the empty pattern, a class without its end runs to the
// end of the pattern, ranges compare signed bytes and may stand reversed, an escape inside a class
// keeps its letter case.

#include <string_view>

namespace firnlog::server::text {

enum class LetterCase : bool { matters, ignored };

[[nodiscard]] bool glob(std::string_view pattern, std::string_view text,
                        LetterCase letters = LetterCase::matters) noexcept;

}  // namespace firnlog::server::text
