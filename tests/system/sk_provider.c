/* A FIDO authenticator in software, as a library for SecurityKeyProvider (the functions of OpenSSH's sk-api.h).
 *
 * A key's handle is its private key. What it does beside signing goes by the application's name:
 * ssh:silent answers nothing for a long time, ssh:broken fails. A key that wants a PIN takes 1234.
 * Built without OpenSSL's headers: cc -shared -fPIC -o sk_provider.so sk_provider.c -l:libcrypto.so.3
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ECDSA 0
#define ED25519 1
#define PRESENCE 0x01
#define VERIFICATION 0x04
#define GENERAL (-1)
#define UNSUPPORTED (-2)
#define PIN_REQUIRED (-3)

struct sk_enroll_response {
    uint8_t flags;
    uint8_t *public_key;
    size_t public_key_len;
    uint8_t *key_handle;
    size_t key_handle_len;
    uint8_t *signature;
    size_t signature_len;
    uint8_t *attestation_cert;
    size_t attestation_cert_len;
    uint8_t *authdata;
    size_t authdata_len;
};

struct sk_sign_response {
    uint8_t flags;
    uint32_t counter;
    uint8_t *sig_r;
    size_t sig_r_len;
    uint8_t *sig_s;
    size_t sig_s_len;
};

/* What is used of libcrypto. */
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_md_st EVP_MD;
typedef struct ecdsa_sig_st ECDSA_SIG;
typedef struct bignum_st BIGNUM;
EVP_PKEY *EVP_PKEY_Q_keygen(void *, const char *, const char *, ...);
EVP_PKEY *d2i_AutoPrivateKey(EVP_PKEY **, const unsigned char **, long);
int i2d_PrivateKey(EVP_PKEY *, unsigned char **);
int EVP_PKEY_get_octet_string_param(EVP_PKEY *, const char *, unsigned char *, size_t, size_t *);
void EVP_PKEY_free(EVP_PKEY *);
EVP_MD_CTX *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(EVP_MD_CTX *);
const EVP_MD *EVP_sha256(void);
int EVP_DigestSignInit(EVP_MD_CTX *, void **, const EVP_MD *, void *, EVP_PKEY *);
int EVP_DigestSign(EVP_MD_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);
unsigned char *SHA256(const unsigned char *, size_t, unsigned char *);
ECDSA_SIG *d2i_ECDSA_SIG(ECDSA_SIG **, const unsigned char **, long);
const BIGNUM *ECDSA_SIG_get0_r(const ECDSA_SIG *);
const BIGNUM *ECDSA_SIG_get0_s(const ECDSA_SIG *);
int BN_bn2binpad(const BIGNUM *, unsigned char *, int);

uint32_t sk_api_version(void) { return 0x000a0000; }

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
              const char *pin, void **options, struct sk_enroll_response **response) {
    EVP_PKEY *key = alg == ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                   : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    struct sk_enroll_response *made = calloc(1, sizeof *made);
    uint8_t point[256], *handle = NULL;
    int length;

    (void)challenge, (void)challenge_len, (void)application, (void)pin, (void)options;
    if (key == NULL || made == NULL || (length = i2d_PrivateKey(key, &handle)) <= 0)
        return GENERAL;
    made->flags = flags;
    made->key_handle = malloc(length);
    memcpy(made->key_handle, handle, length);
    made->key_handle_len = length;
    if (!EVP_PKEY_get_octet_string_param(key, "pub", point, sizeof point, &made->public_key_len))
        return GENERAL;
    made->public_key = malloc(made->public_key_len);
    memcpy(made->public_key, point, made->public_key_len);
    made->signature = calloc(1, made->signature_len = 64);
    made->attestation_cert = calloc(1, made->attestation_cert_len = 1);
    made->authdata = calloc(1, made->authdata_len = 37);
    EVP_PKEY_free(key);
    *response = made;
    return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application, const uint8_t *handle,
            size_t handle_len, uint8_t flags, const char *pin, void **options, struct sk_sign_response **response) {
    uint8_t message[32 + 1 + 4 + 32], signature[256];
    size_t length = sizeof signature;
    const unsigned char *at = handle;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, handle_len);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    struct sk_sign_response *made = calloc(1, sizeof *made);

    (void)options;
    if (strcmp(application, "ssh:silent") == 0)
        sleep(600);
    if (strcmp(application, "ssh:broken") == 0 || key == NULL || context == NULL || made == NULL)
        return GENERAL;
    if ((flags & VERIFICATION) && (pin == NULL || strcmp(pin, "1234") != 0))
        return PIN_REQUIRED;
    made->flags = flags & (PRESENCE | VERIFICATION);
    made->counter = 0x01020304;
    SHA256((const unsigned char *)application, strlen(application), message);
    message[32] = made->flags;
    memcpy(message + 33, "\1\2\3\4", 4);
    SHA256(data, data_len, message + 37);
    if (!EVP_DigestSignInit(context, NULL, alg == ECDSA ? EVP_sha256() : NULL, NULL, key) ||
        !EVP_DigestSign(context, signature, &length, message, sizeof message))
        return GENERAL;
    if (alg == ED25519) {
        made->sig_r = malloc(made->sig_r_len = length);
        memcpy(made->sig_r, signature, length);
    } else {
        const unsigned char *from = signature;
        ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &from, length);
        made->sig_r = malloc(made->sig_r_len = 32);
        made->sig_s = malloc(made->sig_s_len = 32);
        BN_bn2binpad(ECDSA_SIG_get0_r(both), made->sig_r, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(both), made->sig_s, 32);
    }
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    *response = made;
    return 0;
}

int sk_load_resident_keys(const char *pin, void **options, void ***keys, size_t *count) {
    (void)pin, (void)options, (void)keys, (void)count;
    return UNSUPPORTED;
}
