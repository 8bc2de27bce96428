package reasoninggrpc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	reasoninggrpc "github.com/reasoning-grpc/reasoning-grpc/clients/go"
)

// The token is sent with a call over a plaintext connection.
func TestTokenIsSent(t *testing.T) {
	service := &fakeService{}

	if _, err := complete(t, dial(t, serve(t, service), reasoninggrpc.WithToken("secret"))); err != nil {
		t.Fatal(err)
	}

	if sent := service.metadata.Get("authorization"); len(sent) != 1 || sent[0] != "Bearer secret" {
		t.Errorf("sent %q", sent)
	}
}

// An empty token sends no metadata.
func TestEmptyTokenSendsNothing(t *testing.T) {
	service := &fakeService{}

	if _, err := complete(t, dial(t, serve(t, service), reasoninggrpc.WithToken(""))); err != nil {
		t.Fatal(err)
	}

	if sent := service.metadata.Get("authorization"); len(sent) != 0 {
		t.Errorf("sent %q", sent)
	}
}

// The client can call a server that has a certificate of a private authority and requires a client certificate.
func TestMutualTLS(t *testing.T) {
	files := createCertificate(t)
	service := &fakeService{}
	target := serve(t, service, grpc.Creds(credentials.NewTLS(serverConfig(t, files))))
	config, err := files.Config()
	if err != nil {
		t.Fatal(err)
	}

	client := dial(t, target, reasoninggrpc.WithTLS(config), reasoninggrpc.WithToken("secret"))
	if _, err := complete(t, client); err != nil {
		t.Fatal(err)
	}

	if sent := service.metadata.Get("authorization"); len(sent) != 1 || sent[0] != "Bearer secret" {
		t.Errorf("sent %q", sent)
	}
}

// Without a config of its own, the client does not trust a server that has a certificate of a private authority.
func TestNilConfigTrustsSystemRoots(t *testing.T) {
	target := serve(t, &fakeService{}, grpc.Creds(credentials.NewTLS(serverConfig(t, createCertificate(t)))))
	client := dial(t, target, reasoninggrpc.WithTLS(nil), grpc.WithDefaultServiceConfig("{}"))

	if _, err := complete(t, client); status.Code(err) != codes.Unavailable {
		t.Errorf("the error is %v", err)
	}
}

// Config returns an error when a file is missing or holds something else.
func TestConfigRejectsBadFiles(t *testing.T) {
	good := createCertificate(t)
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for name, files := range map[string]reasoninggrpc.TLSFiles{
		"missing authority":           {CertificateAuthority: missing},
		"key in place of authority":   {CertificateAuthority: good.Key},
		"missing certificate":         {Certificate: missing, Key: good.Key},
		"certificate without key":     {Certificate: good.Certificate},
		"key without certificate":     {Key: good.Key},
		"certificate in place of key": {Certificate: good.Certificate, Key: good.Certificate},
	} {
		t.Run(name, func(t *testing.T) {
			if config, err := files.Config(); err == nil {
				t.Errorf("got %v", config)
			}
		})
	}
}

// createCertificate writes a certificate for 127.0.0.1 that is its own authority, and returns the paths of its files.
func createCertificate(t *testing.T) reasoninggrpc.TLSFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "reasoninggrpc test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encodedKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificatePath := writePEM(t, "CERTIFICATE", certificate)
	return reasoninggrpc.TLSFiles{
		CertificateAuthority: certificatePath,
		Certificate:          certificatePath,
		Key:                  writePEM(t, "PRIVATE KEY", encodedKey),
	}
}

func writePEM(t *testing.T, kind string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serverConfig returns the TLS config of a server that requires a client certificate of the same authority.
func serverConfig(t *testing.T, files reasoninggrpc.TLSFiles) *tls.Config {
	t.Helper()
	config, err := files.Config()
	if err != nil {
		t.Fatal(err)
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, config.RootCAs
	return config
}
