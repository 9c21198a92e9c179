#pragma once
// Mutant: a bug that is there to be found.
//
//     if (!planted("log_never_synced")) sync();
//
// A test that never fails proves nothing. In the build with the option `mutants` (see `dev`) each
// such hook is a bug that lies dormant until the environment variable FIRNLOG_MUTANT names it: one
// bug a process, read once as the process starts. tests/mutants.py plants them one after the other
// and says which tests must notice; what nothing notices is a missing test.
//
// In every other build planted() is false at compile time and leaves no code behind. Where it is
// not, it compares two numbers. A name may stand in several places that make one bug together.

#include <string_view>

#ifdef FIRNLOG_MUTANTS
#include <cstdint>
#include <cstdlib>
#endif

namespace firnlog {

#ifdef FIRNLOG_MUTANTS

// FNV-1a. That no two names have the same number tests/mutants.py has seen.
class Mutant {
  public:
    consteval Mutant(std::string_view name) : number_(number_of(name)) {}
    consteval Mutant(const char* name) : number_(number_of(name)) {}

    static constexpr std::uint64_t number_of(std::string_view name) {
        std::uint64_t number = 0xcbf29ce484222325;
        for (const char letter : name) {
            number ^= static_cast<unsigned char>(letter);
            number *= 0x100000001b3;
        }
        return number;
    }
    [[nodiscard]] std::uint64_t number() const { return number_; }

  private:
    std::uint64_t number_;
};

inline const std::uint64_t chosen_mutant = [] {
    const char* name = std::getenv("FIRNLOG_MUTANT");
    return name == nullptr || *name == '\0' ? 0 : Mutant::number_of(name);
}();

[[nodiscard]] inline bool planted(Mutant mutant) { return mutant.number() == chosen_mutant; }

#else

[[nodiscard]] constexpr bool planted(std::string_view) { return false; }

#endif

}  // namespace firnlog
