// SPDX-License-Identifier: Apache-2.0
// C++ functions, some of them inlined, down to a system call in which it stays.
#include <unistd.h>

#include <cstdio>

namespace shop {

template <typename T> struct Basket {
    T total = 0;
    __attribute__((always_inline)) inline int wait(T more)
    {
        total += more;
        return pause() + static_cast<int>(total);
    }
    __attribute__((noinline)) int add(T more);
};

template <typename T> __attribute__((noinline)) int Basket<T>::add(T more)
{
    int got = wait(more + 1);
    return got + 1;
}

namespace {
__attribute__((always_inline)) inline int innermost(Basket<long> &basket, int x)
{
    return basket.add(x) * 2;
}

__attribute__((always_inline)) inline int middle(Basket<long> &basket, int x)
{
    int twice = x + x;
    return innermost(basket, twice) + 3;
}

__attribute__((noinline)) int hidden(Basket<long> &basket, int x)
{
    if (x > 1000)
        return 0;
    return middle(basket, x) - 1;
}
} // namespace

int operator*(Basket<long> &basket, const int &x)
{
    auto call = [&](int y) __attribute__((noinline)) { return hidden(basket, y) + 1; };
    return call(x) + 1;
}

} // namespace shop

int main()
{
    shop::Basket<long> basket;
    std::puts("READY");
    std::fflush(stdout);
    return basket * 21;
}
